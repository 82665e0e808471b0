// What one step along each axis does to each score, as a table in colours: a mean over the generator's collection.
import { useEffect, useState } from "preact/hooks";
import { PanelContext } from "../../panels";
import { arraysOf } from "../../protocol";
import { css, number } from "../../stage/colours";
import { Generator } from "../axes";

interface Table {
  axes: string[];
  scores: string[];
  count: number;
  left: number;
  effects: Float32Array;
  errors: Float32Array;
}

export function Effects({ ask, generator }: { ask: PanelContext["ask"]; generator: Generator }) {
  const [table, setTable] = useState<Table | null>(null);
  const [said, setSaid] = useState("");
  const known = generator.axes.map((axis) => axis.name).join("\n");
  useEffect(() => setTable(null), [generator.name, known]);
  if (!generator.collection || !generator.axes.length) return null;
  const measure = () => {
    setSaid("measuring …");
    ask({ do: "effects", generator: generator.name }).then(
      ([header, buffers]) => {
        setTable({ ...(header.message as Table), ...(arraysOf(header, buffers) as Pick<Table, "effects" | "errors">) });
        setSaid("");
      },
      (error: Error) => setSaid(error.message.split("\n")[0]),
    );
  };
  let most = 0;
  for (const value of table?.effects ?? []) if (Math.abs(value) > most) most = Math.abs(value);
  return (
    <details class="effects" data-part="effects">
      <summary>what each axis does to each score</summary>
      <button data-action="effects" onClick={measure}>
        measure on {generator.collection}
      </button>{" "}
      <span class="hint">{said}</span>
      {table && (
        <div class="wide">
          <table data-axes={table.axes.length} data-scores={table.scores.length}>
            <caption>
              Change of a score (log-odds) by one standard deviation, a mean of {table.count} inputs; ·: less than two standard errors
              {table.left ? `; ${table.left} axes more are not shown` : ""}
            </caption>
            <thead>
              <tr>
                <th />
                {table.scores.map((name) => (
                  <th key={name} scope="col">
                    <span>{name}</span>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {table.axes.map((axis, i) => (
                <tr key={axis}>
                  <th scope="row">{axis}</th>
                  {table.scores.map((name, j) => {
                    const value = table.effects[i * table.scores.length + j];
                    const error = table.errors[i * table.scores.length + j];
                    return (
                      <td key={name} style={{ background: css(value, most) }} title={`${axis} → ${name}: ${number(value)} ± ${number(error)}`}>
                        {Math.abs(value) < 2 * error ? "·" : number(value)}
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
