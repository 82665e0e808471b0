// The maps of a collection as small pictures, sorted and cut by the query itself.
import { useEffect } from "preact/hooks";
import { State, Studio } from "../state";
import { number } from "../stage/colours";
import { ThumbCanvas } from "./thumb";
import { VirtualGrid } from "./virtual";

const PAGE = 60;

export function Multiples({ studio, state }: { studio: Studio; state: State }) {
  const query = state.document?.query;
  const entry = state.catalog?.inputs.find((input) => input.name === query?.input);
  const collection = entry !== undefined && entry.count > 1 && query?.index == null;
  const question = state.frame?.question ?? null;
  const count = state.multiplesTotal || (collection ? (entry?.count ?? 0) : 0);
  useEffect(() => {
    if (collection && state.frame) void studio.multiples(0, PAGE);
  }, [collection, question, state.frame?.stage]);
  if (!collection) return null;
  const rank = query?.rank ?? null;
  let most = 0;
  for (const one of state.multiples.values()) for (const value of one.heat ?? []) if (Math.abs(value) > most) most = Math.abs(value);
  const by = rank?.by ?? null;
  const rankBy = (name: string, descending: boolean, limit: number | null) =>
    studio.gesture(name === "none" ? { do: "rank", by: null } : { do: "rank", by: name, descending, ...(limit ? { limit } : {}) });
  return (
    <section data-part="multiples" aria-label="Small multiples" data-count={state.multiples.size}>
      <div class="strip">
        <h2>
          {entry!.name} <span class="count">{count}</span>
        </h2>
        <label>
          sort
          <select aria-label="Sort by" value={by ?? "none"} onChange={(event) => rankBy(event.currentTarget.value, rank?.descending ?? true, rank?.limit ?? 12)}>
            <option value="none">as registered</option>
            <option value="distance">distance</option>
            <option value="mass">mass in the window</option>
            <option value="score">score</option>
          </select>
        </label>
        <form
          class="inline"
          onSubmit={(event) => {
            event.preventDefault();
            const having = new FormData(event.currentTarget).get("having")?.toString().trim() || null;
            studio.gesture({ do: "rank", by, having });
          }}
        >
          <label for="ialgebra-having">only</label>
          <input id="ialgebra-having" name="having" key={rank?.having ?? ""} defaultValue={rank?.having ?? ""} placeholder="prediction <> label" title="A condition of HAVING; Enter asks" />
        </form>
        {rank && by && (
          <>
            <button title="Turn the order" onClick={() => rankBy(by, !rank.descending, rank.limit)}>
              {rank.descending ? "largest first" : "smallest first"}
            </button>
            <label>
              first
              <input type="number" min={1} max={entry!.count} value={rank.limit ?? 12} onChange={(event) => rankBy(by, rank.descending, Number(event.currentTarget.value) || 12)} />
            </label>
          </>
        )}
      </div>
      <VirtualGrid
        count={count}
        width={104}
        height={128}
        most={276}
        label={`Maps of ${entry!.name}`}
        needed={(from, to) => {
          for (let start = from - (from % PAGE); start < to; start += PAGE) if (!state.multiples.has(start) && state.frame) void studio.multiples(start, start + PAGE);
        }}
        render={(index) => {
          const one = state.multiples.get(index);
          if (!one) return <span class="multiple waiting" />;
          const name = `${one.input}[${one.index}]`;
          return (
            <button class="multiple pick" title={`${name}${one.prediction ? `: ${one.prediction}` : ""}. Click: look at it alone`} onClick={() => studio.gesture({ do: "input", name: one.input, index: one.index })}>
              <ThumbCanvas thumb={one} size={84} heat={one.heat} rows={one.rows} columns={one.columns} scale={most} />
              <span class="name">{one.prediction ?? one.label ?? name}</span>
              <span class="number">{one.value != null ? number(one.value) : `#${one.index}`}</span>
            </button>
          );
        }}
      />
    </section>
  );
}
