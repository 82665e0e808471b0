// The inputs with their pictures, and the models. A click puts one on the stage; a drag or P pins an input, a tick compares a model.
import { useState } from "preact/hooks";
import { InputEntry, pinOf } from "../protocol";
import { INPUT_DRAG } from "../stage/stage";
import { State, Studio } from "../state";
import { ThumbCanvas } from "./thumb";
import { VirtualGrid } from "./virtual";

interface Props {
  studio: Studio;
  state: State;
}

export function Inputs({ studio, state }: Props) {
  const [find, setFind] = useState("");
  const inputs = state.catalog?.inputs ?? [];
  const found = inputs.filter((input) => input.name.toLowerCase().includes(find.toLowerCase()));
  return (
    <section data-part="inputs">
      <h2>Inputs</h2>
      {inputs.length > 8 && <input type="search" placeholder={`find among ${inputs.length}`} aria-label="Find an input" onInput={(event) => setFind(event.currentTarget.value)} />}
      <ul class="inputs">
        {found.slice(0, 80).map((input) => (
          <InputRow key={input.name} studio={studio} state={state} input={input} />
        ))}
      </ul>
      {found.length > 80 && <p class="hint">{found.length - 80} more; type to find one.</p>}
    </section>
  );
}

function InputRow({ studio, state, input }: Props & { input: InputEntry }) {
  const query = state.document?.query;
  const [open, setOpen] = useState(false);
  const pinned = pinOf(query)?.input === input.name;
  const chosen = query?.input === input.name;
  const thumbs = state.thumbnails.get(input.name);
  const collection = input.count > 1;
  return (
    <li class={chosen ? "chosen" : ""}>
      <div class="row">
        <Pickable studio={studio} input={input.name} index={null} pressed={chosen && query?.index == null} title={`${input.name}, ${input.kind}${collection ? ` × ${input.count}` : ""}`}>
          <ThumbCanvas thumb={thumbs?.get(0)} size={34} />
          <span class="name">{input.name}</span>
          {collection && <span class="count">{input.count}</span>}
        </Pickable>
        {pinned && <span class="pin">pinned</span>}
        {collection && (
          <button class="quiet" aria-expanded={open} title="Show its elements" onClick={() => setOpen(!open)}>
            {open ? "▾" : "▸"}
            <span class="hidden"> elements of {input.name}</span>
          </button>
        )}
      </div>
      {open && (
        <VirtualGrid
          count={input.count}
          width={44}
          height={44}
          most={220}
          label={`Elements of ${input.name}`}
          needed={(from, to) => {
            for (let start = from - (from % 60); start < to; start += 60) void studio.thumbnail(input.name, start, Math.min(input.count, start + 60));
          }}
          render={(index) => (
            <Pickable
              studio={studio}
              input={input.name}
              index={index}
              pressed={chosen && query?.index === index}
              title={`${input.name}[${index}]${thumbs?.get(index)?.label ? `: ${thumbs.get(index)!.label}` : ""}`}
            >
              <ThumbCanvas thumb={thumbs?.get(index)} size={38} />
              <span class="hidden">
                {input.name}[{index}]
              </span>
            </Pickable>
          )}
        />
      )}
    </li>
  );
}

interface PickableProps {
  studio: Studio;
  input: string;
  index: number | null;
  pressed: boolean;
  title: string;
  children: preact.ComponentChildren;
}

function Pickable({ studio, input, index, pressed, title, children }: PickableProps) {
  return (
    <button
      class="pick"
      aria-pressed={pressed}
      title={`${title}. Click: look at it; P or a drag to the pin: compare with it`}
      draggable
      data-input={index === null ? input : `${input}[${index}]`}
      onDragStart={(event) => event.dataTransfer?.setData(INPUT_DRAG, JSON.stringify({ input, index }))}
      onClick={(event) =>
        event.altKey || event.shiftKey ? studio.gesture({ do: "pin", input, index }) : studio.gesture({ do: "input", name: input, index })
      }
      onKeyDown={(event) => {
        if (event.key.toLowerCase() === "p" && !event.ctrlKey && !event.metaKey) studio.gesture({ do: "pin", input, index });
        else if (event.key === "Delete") studio.gesture({ do: "pin", input: null, index: null });
        else return;
        event.preventDefault();
      }}
    >
      {children}
    </button>
  );
}

export function Models({ studio, state }: Props) {
  const models = state.catalog?.models ?? [];
  const query = state.document?.query;
  const first = query?.models[0];
  return (
    <section data-part="models">
      <h2>Models</h2>
      <ul class="models">
        {models.map((model) => (
          <li key={model.name}>
            <label class="name" title={model.name}>
              <input type="radio" name="ialgebra-model" checked={model.name === first} onChange={() => studio.gesture({ do: "model", name: model.name })} />
              {model.name}
            </label>
            {models.length > 1 && model.name !== first && (
              <label class="tick" title={`Compare with ${model.name}`}>
                <input
                  type="checkbox"
                  checked={query?.compare === model.name}
                  onChange={(event) => studio.gesture({ do: "compare", model: event.currentTarget.checked ? model.name : null })}
                />
                compare<span class="hidden"> with {model.name}</span>
              </label>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
