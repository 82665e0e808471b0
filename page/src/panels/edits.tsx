// What is changed in the input before it is explained, each with its sliders, and the comparison of before and after.
import { Edit } from "../protocol";
import { State, Studio } from "../state";

interface Dial {
  name: string;
  low: number;
  high: number;
  step: number;
  start: number;
}

export const EDITS: Record<string, Dial[]> = {
  nullify: [],
  shift: [
    { name: "down", low: -64, high: 64, step: 1, start: 8 },
    { name: "right", low: -64, high: 64, step: 1, start: 8 },
  ],
  rotate: [{ name: "degrees", low: -180, high: 180, step: 5, start: 15 }],
  blur: [{ name: "radius", low: 0, high: 24, step: 1, start: 5 }],
  brightness: [{ name: "by", low: -1, high: 1, step: 0.05, start: 0.2 }],
  contrast: [{ name: "by", low: 0, high: 3, step: 0.1, start: 1.5 }],
};

/** Edits of codes, which have sliders of their own. */
const CODES = ["reconstruct", "latent", "mix", "counterfactual"];

export function Edits({ studio, state }: { studio: Studio; state: State }) {
  const query = state.document?.query;
  const edits = (query?.edits ?? []).filter((edit) => !CODES.includes(edit.edit));
  const edited = (query?.edits ?? []).length > 0;
  const drawn = (query?.shapes.length ?? 0) > 0;
  const image = (query?.kind ?? "image") === "image";
  const change = (edit: Edit, index: number, value: number, moving: boolean) =>
    studio.gesture(
      { do: "edit", edit: edit.edit, arguments: edit.arguments.map((given, i) => (i === index ? value : given)), window: edit.window ?? null },
      moving,
    );
  const offered = ["nullify", ...(image ? ["blur", "brightness", "contrast"] : [])].filter((name) => !edits.some((edit) => edit.edit === name));
  if (query?.by_hand)
    return (
      <section data-part="edits" aria-label="Edits">
        <h2>Edits</h2>
        <p class="hint">The query's FROM is written by hand; these controls come back with a simpler one.</p>
      </section>
    );
  return (
    <section data-part="edits" aria-label="Edits">
      <h2>Edits</h2>
      <ul class="edits">
        {edits.map((edit) => (
          <li key={edit.edit}>
            <span class="name">{edit.edit}</span>
            <button class="quiet" title={`Take ${edit.edit} away`} onClick={() => studio.gesture({ do: "edit", edit: edit.edit, arguments: [], remove: true })}>
              ✕<span class="hidden"> take {edit.edit} away</span>
            </button>
            {edit.arguments.map((given, i) => {
              const dial = EDITS[edit.edit]?.[i];
              if (!dial || typeof given !== "number") return <span class="given">{String(given)}</span>;
              return (
                <label class="dial" key={dial.name}>
                  <span>{dial.name}</span>
                  <input
                    type="range"
                    min={Math.min(dial.low, given)}
                    max={Math.max(dial.high, given)}
                    step={dial.step}
                    value={given}
                    aria-label={`${edit.edit}, ${dial.name}`}
                    onInput={(event) => change(edit, i, Number(event.currentTarget.value), true)}
                    onChange={(event) => change(edit, i, Number(event.currentTarget.value), false)}
                  />
                  <output>{given}</output>
                </label>
              );
            })}
          </li>
        ))}
      </ul>
      <div class="buttons">
        {offered.map((name) => (
          <button
            key={name}
            data-edit={name}
            disabled={name === "nullify" && !drawn}
            title={name === "nullify" && !drawn ? "Draw a window first" : `Put ${name} around the input`}
            onClick={() => studio.gesture({ do: "edit", edit: name, arguments: EDITS[name].map((dial) => dial.start), window: null })}
          >
            {name}
          </button>
        ))}
        {edited && (
          <button data-edit="none" onClick={() => studio.gesture({ do: "edit", edit: "none", arguments: [] })}>
            no edits
          </button>
        )}
      </div>
      {edited && (
        <label class="tick">
          <input
            type="checkbox"
            data-action="before-after"
            checked={query?.before_after ?? false}
            onChange={(event) => studio.gesture({ do: "before after", on: event.currentTarget.checked })}
          />
          compare before and after
        </label>
      )}
    </section>
  );
}
