// A table's record: a bar with its error and the value a feature. A click on a value writes another there. Attributes of a dictionary
// are shown so too; their values are the model's own.
import { useState } from "preact/hooks";
import { css, number, unsure } from "./colours";
import { modeOf } from "./mode";
import { StageProps } from "./props";

const MOST = 60;

export function TableStage({ studio, state, picture, map, scale, old }: StageProps) {
  const [open, setOpen] = useState<string | null>(null);
  const [all, setAll] = useState(false);
  const columns = picture?.columns ?? [];
  const labels = map ? state.labels.get(map.labels) : undefined;
  const concepts = state.document?.query?.concepts;
  const dictionary = concepts?.playing ? concepts.dictionary : null;
  const chosen = new Set(concepts?.playing ? concepts.chosen : (state.document?.query?.shapes ?? []).flatMap((shape) => (shape.kind === "columns" && shape.mode !== "subtract" ? (shape.names ?? []) : [])));
  const choose = (name: string, event: MouseEvent) =>
    studio.gesture(
      dictionary === null ? { do: "window", shapes: [{ kind: "columns", names: [name] }], mode: modeOf(event) } : { do: "concept window", dictionary, attribute: name, on: !chosen.has(name) },
    );
  const rows = columns.map((column, feature) => {
    const player = labels?.of[feature] ?? -1;
    const value = map && player >= 0 ? map.values[player] : NaN;
    return { ...column, player, value, error: map && player >= 0 ? map.stderr[player] : 0 };
  });
  rows.sort((a, b) => (Number.isNaN(b.value) ? -1 : Math.abs(b.value)) - (Number.isNaN(a.value) ? -1 : Math.abs(a.value)));
  const shownRows = all ? rows : rows.slice(0, MOST);
  const reach = Math.max(scale, ...shownRows.map((row) => (Number.isNaN(row.value) ? 0 : Math.abs(row.value) + 1.96 * row.error))) || 1;
  const place = (value: number) => `${50 + (50 * value) / reach}%`;
  const write = (name: string, text: string) => {
    const given = text.trim();
    setOpen(null);
    if (given === "") return;
    studio.gesture({ do: "edit", edit: "assign", arguments: [Number.isNaN(Number(given)) ? given : Number(given)], window: { kind: "columns", names: [name] } });
  };
  return (
    <div class="record">
      <table>
        <caption class="hidden">Features by size of their value</caption>
        <thead>
          <tr>
            <th scope="col">{dictionary === null ? "feature" : "attribute"}</th>
            <th scope="col">value</th>
            <th scope="col">contribution</th>
          </tr>
        </thead>
        <tbody>
          {shownRows.map((row) => {
            const known = !Number.isNaN(row.value);
            const said = known ? `${number(row.value)} ± ${number(1.96 * row.error)}` : row.player < 0 && map ? "outside the window" : "unknown";
            return (
              <tr key={row.name} class={row.player < 0 && map ? "outside" : ""}>
                <th scope="row">
                  <button
                    class="quiet name"
                    aria-pressed={chosen.has(row.name)}
                    title={dictionary === null ? `${row.name}: click to look at it alone; Shift adds, Alt takes away` : `${row.name}: click to look at it too, or no longer`}
                    onClick={(event) => choose(row.name, event)}
                  >
                    {row.name}
                  </button>
                </th>
                <td class="value">
                  {dictionary !== null ? (
                    valueText(columns.find((column) => column.name === row.name)?.value)
                  ) : open === row.name ? (
                    <input
                      aria-label={`New value of ${row.name}`}
                      defaultValue={String(row.value === null ? "" : (columns.find((column) => column.name === row.name)?.value ?? ""))}
                      ref={(element) => element?.select()}
                      onKeyDown={(event) => {
                        if (event.key === "Enter") write(row.name, event.currentTarget.value);
                        if (event.key === "Escape") {
                          setOpen(null);
                          event.stopPropagation();
                        }
                      }}
                      onBlur={() => setOpen(null)}
                    />
                  ) : (
                    <button class="quiet" title="Click to write another value" onClick={() => setOpen(row.name)}>
                      {valueText(columns.find((column) => column.name === row.name)?.value)}
                    </button>
                  )}
                </td>
                <td class="bars" title={said} aria-label={said}>
                  {known ? (
                    <span class="track">
                      <span
                        class={unsure(row.value, row.error) ? "fill unsure" : "fill"}
                        style={{
                          left: row.value < 0 ? place(row.value) : "50%",
                          width: `${(50 * Math.abs(row.value)) / reach}%`,
                          backgroundColor: css(row.value, Math.abs(row.value) || 1, old),
                        }}
                      />
                      {row.error > 0 && <span class="whisker" style={{ left: place(row.value - 1.96 * row.error), width: `${(100 * 1.96 * row.error) / reach}%` }} />}
                    </span>
                  ) : (
                    <span class="track unknown" />
                  )}
                  <span class="said">{known ? number(row.value) : ""}</span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {rows.length > MOST && (
        <button class="quiet" onClick={() => setAll(!all)}>
          {all ? "fewer" : `all ${rows.length} features`}
        </button>
      )}
    </div>
  );
}

function valueText(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return "missing";
  return typeof value === "number" ? String(Math.abs(value) >= 1e6 ? value.toExponential(2) : Number(value.toPrecision(6))) : value;
}
