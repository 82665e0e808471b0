// How the query is answered: the graph of its plan, the laws that fired, the rows that they save, the forecast.
import { useEffect, useState } from "preact/hooks";
import { Plan } from "../protocol";
import { State, Studio } from "../state";

const count = (value: number | string | null | undefined) => (typeof value === "number" ? Math.round(value).toLocaleString("en") : (value ?? "?"));

export function PlanView({ studio, state }: { studio: Studio; state: State }) {
  const [open, setOpen] = useState(false);
  const text = state.document?.text;
  const settled = state.status.state !== "running";
  useEffect(() => {
    if (open && settled) void studio.explainPlan();
  }, [open, text, settled]);
  const plan = state.plan;
  return (
    <details data-part="plan" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        Plan
        {plan && open && <Saved plan={plan} />}
      </summary>
      {open && plan && (
        <div class="plan">
          <Graph plan={plan} />
          <div class="laws">
            {plan.laws.length > 0 ? (
              <table>
                <caption>Laws that fired</caption>
                <tbody>
                  {plan.laws.map((law, i) => (
                    <tr key={i}>
                      <th scope="row">{law.law}</th>
                      <td>{law.formula}</td>
                      <td class="number">{(law.times ?? 1) > 1 ? `× ${law.times}` : ""}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            ) : (
              <p class="hint">No law changes this query.</p>
            )}
            {(plan.saved?.length ?? 0) > 0 && (
              <table>
                <caption>Rows saved by sharing</caption>
                <tbody>
                  {plan.saved!.map((saved, i) => (
                    <tr key={i}>
                      <td>{saved.by}</td>
                      <td class="number">{count(saved.rows)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
          </div>
        </div>
      )}
    </details>
  );
}

function Saved({ plan }: { plan: Plan }) {
  const saved = plan.rows != null && plan.rows_as_written ? 1 - plan.rows / plan.rows_as_written : 0;
  return (
    <span class="saved">
      {plan.rows != null && ` ${count(plan.rows)} rows`}
      {saved > 0.005 && `, ${Math.round(100 * saved)} % saved of ${count(plan.rows_as_written)} as written`}
      {plan.seconds != null && `, about ${plan.seconds < 10 ? plan.seconds.toFixed(1) : Math.round(plan.seconds)} s`}
    </span>
  );
}

/** Nodes by their depth below the answer, left to right. */
function Graph({ plan }: { plan: Plan }) {
  const depth = new Map<string, number>(plan.nodes.map((node) => [String(node.id), 0]));
  for (let round = 0; round < plan.nodes.length; round++) {
    let moved = false;
    for (const [from, to] of plan.edges) {
      const next = (depth.get(String(from)) ?? 0) + 1;
      if (next > (depth.get(String(to)) ?? 0) && next <= plan.nodes.length) {
        depth.set(String(to), next);
        moved = true;
      }
    }
    if (!moved) break;
  }
  const columns: Map<number, string[]> = new Map();
  for (const node of plan.nodes) {
    const at = depth.get(String(node.id)) ?? 0;
    columns.set(at, [...(columns.get(at) ?? []), String(node.id)]);
  }
  const [wide, tall, gap] = [190, 34, 34];
  const place = new Map<string, [number, number]>();
  for (const [at, ids] of columns) ids.forEach((id, i) => place.set(id, [at * (wide + gap), i * (tall + 10)]));
  const width = Math.max(1, columns.size) * (wide + gap);
  const height = Math.max(1, ...[...columns.values()].map((ids) => ids.length)) * (tall + 10);
  return (
    <div class="graph" tabIndex={0} role="img" aria-label={`Plan of ${plan.nodes.length} steps: ${plan.nodes.map((node) => node.label).join("; ")}`}>
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
        {plan.edges.map(([from, to], i) => {
          const [a, b] = [place.get(String(from)), place.get(String(to))];
          if (!a || !b) return null;
          const [x1, y1, x2, y2] = [a[0] + wide, a[1] + tall / 2, b[0], b[1] + tall / 2];
          return <path key={i} class="edge" d={`M${x1} ${y1}C${x1 + gap / 2} ${y1} ${x2 - gap / 2} ${y2} ${x2} ${y2}`} />;
        })}
        {plan.nodes.map((node) => {
          const [x, y] = place.get(String(node.id))!;
          return (
            <g key={node.id} transform={`translate(${x} ${y})`}>
              <title>{node.label}</title>
              <rect class="node" width={wide} height={tall} rx={5} />
              <text x={10} y={tall / 2 + 4}>
                {node.label.length > 27 ? node.label.slice(0, 26) + "…" : node.label}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}
