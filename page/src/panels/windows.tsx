// Windows that have names, naming the one that is drawn, and the hottest part of the map as one.
import { useState } from "preact/hooks";
import { State, Studio } from "../state";
import { modeOf } from "../stage/mode";

const NAME = /^[A-Za-z_]\w*$/;

export function Windows({ studio, state }: { studio: Studio; state: State }) {
  const [name, setName] = useState("");
  const [percent, setPercent] = useState(10);
  const windows = state.catalog?.windows ?? [];
  const query = state.document?.query;
  const drawn = (query?.shapes.length ?? 0) > 0 || Boolean(query?.window_text);
  const used = new Set((query?.shapes ?? []).flatMap((shape) => (shape.kind === "name" ? [shape.name] : [])));
  const free = (prefix: string) => {
    const taken = new Set(windows.map((window) => window.name));
    for (let n = 0; ; n++) if (!taken.has(n ? `${prefix}${n + 1}` : prefix)) return n ? `${prefix}${n + 1}` : prefix;
  };
  return (
    <section data-part="windows">
      <h2>Windows</h2>
      <ul class="windows">
        {windows.map((window) => (
          <li key={window.name}>
            <button
              class="pick"
              aria-pressed={used.has(window.name)}
              title={`${window.text}. Click: look there; Shift adds, Alt takes away`}
              onClick={(event) =>
                studio.gesture({
                  do: "window",
                  shapes: [{ kind: "name", name: window.name }],
                  mode: modeOf(event),
                })
              }
            >
              <span class="name">{window.name}</span>
            </button>
          </li>
        ))}
      </ul>
      {drawn && (
        <>
          <form
            class="inline"
            onSubmit={(event) => {
              event.preventDefault();
              const given = name.trim() || free("w");
              if (NAME.test(given)) studio.gesture({ do: "name", name: given });
              setName("");
            }}
          >
            <input aria-label="Name of the window" placeholder={free("w")} value={name} pattern="[A-Za-z_][A-Za-z0-9_]*" onInput={(event) => setName(event.currentTarget.value)} />
            <button data-action="name">name</button>
          </form>
          <button class="plain" data-action="everywhere" onClick={() => studio.gesture({ do: "window", shapes: [], mode: "clear" })}>
            look everywhere
          </button>
        </>
      )}
      {state.frame && (
        <form
          class="inline"
          onSubmit={(event) => {
            event.preventDefault();
            studio.gesture({ do: "hottest", percent, name: free("hot") });
          }}
        >
          <button data-action="hottest">hottest</button>
          <input type="number" aria-label="Percent" min={1} max={90} value={percent} onInput={(event) => setPercent(Number(event.currentTarget.value) || 10)} />
          <span>%</span>
        </form>
      )}
    </section>
  );
}
