// A slider an axis of a generator, and what all models say of the moved input meanwhile. While a hand drags, ratings are asked beside the
// query, one question at a time, and the latest position after it; letting go writes the query, whose map comes then.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { PanelContext, registerPanel } from "../panels";
import { Gesture, Json, QueryCodes, ScoreRow, Sweep, arraysOf } from "../protocol";
import { State, Studio, Thumb } from "../state";
import { Columns } from "./axes/columns";
import { Effects } from "./axes/effects";
import { Rated, Ratings } from "./axes/ratings";

export interface Generator {
  name: string;
  levels: number;
  encodes: boolean;
  collection: string | null;
  axes: { name: string; of: string; r2: number | null; held: string[] }[];
  inputs: string[];
  sources: string[];
}

const FURTHEST = 4; // standard deviations on the slider
const MANY = 12;
const NOTHING: QueryCodes = { moves: {}, mixes: [], counterfactual: null, keep: false, within: null, end: null };

type Ask = PanelContext["ask"];

function ratedOf(header: Json, buffers: DataView[]): Rated {
  const said = header.message as { rows: ScoreRow[]; failed: Record<string, string>; width: number; height: number; swept?: number };
  const { rgb } = arraysOf(header, buffers) as { rgb?: Uint8Array };
  const thumb: Thumb | undefined = rgb && { kind: "image", width: said.width, height: said.height, rgb };
  const rows = said.rows.filter((row, i) => said.rows.findIndex((other) => other.model === row.model) === i);
  return { rows, failed: said.failed, swept: (said.swept ?? 1) > 1, thumb };
}

/** Asks for ratings, one question at a time; of those that wait the latest is asked. */
function useRatings(ask: Ask, classes: string[], input: string) {
  const [rated, setRated] = useState<Rated | null>(null);
  const [problem, setProblem] = useState("");
  const [counts, setCounts] = useState({ events: 0, updates: 0 });
  const flow = useRef({ busy: false, waiting: false, gesture: null as Gesture | null, without: new Set<string>(), input: "", gone: false });
  const latest = useRef({ ask, classes });
  latest.current = { ask, classes };
  useEffect(() => () => void (flow.current.gone = true), []);
  if (flow.current.input !== input) Object.assign(flow.current, { input, without: new Set<string>() });
  const pump = () => {
    const now = flow.current;
    if (now.busy || !now.waiting || now.gone) return;
    Object.assign(now, { busy: true, waiting: false });
    const { ask, classes } = latest.current;
    ask({ do: "rate", gesture: now.gesture, without: [...now.without], classes })
      .then(([header, buffers]) => {
        const found = ratedOf(header, buffers);
        for (const model of Object.keys(found.failed)) now.without.add(model);
        setRated((before) => ({ ...found, failed: { ...(before?.failed ?? {}), ...found.failed } }));
        setProblem("");
        setCounts(({ events, updates }) => ({ events, updates: updates + 1 }));
      })
      .catch((error: Error) => setProblem(error.message))
      .finally(() => {
        now.busy = false;
        pump();
      });
  };
  const rate = (gesture: Gesture | null) => {
    Object.assign(flow.current, { waiting: true, gesture });
    if (gesture) setCounts(({ events, updates }) => ({ events: events + 1, updates }));
    pump();
  };
  return { rated, problem, counts, rate };
}

function Axes({ studio, state, ask }: { studio: Studio; state: State; ask: Ask }) {
  const query = state.document?.query ?? null;
  const told = state.catalog?.panels?.find((panel) => panel.name === "axes")?.generators as Generator[] | undefined;
  const fitting = (told ?? []).filter((one) => query?.input != null && one.inputs.includes(query.input));
  const [picked, setPicked] = useState("");
  const generator = fitting.find((one) => one.name === picked) ?? fitting[0];
  if (!told?.length)
    return (
      <p class="hint" data-none>
        A generator moves inputs along axes: <code>con.register_generator("G", …, collection="xs")</code>, then <code>create axis a on G as score(f, 'class')</code>.
      </p>
    );
  if (!query) return <p class="hint">A query of maps shows the axes of its input here.</p>;
  if (query.by_hand) return <p class="hint">The query’s FROM is written by hand; its sliders come back with a simpler one.</p>;
  if (!generator)
    return (
      <p class="hint" data-none>
        No generator draws inputs such as {query.input}; there are generators of others.
      </p>
    );
  return (
    <>
      {fitting.length > 1 && (
        <select aria-label="Generator" value={generator.name} onChange={(event) => setPicked(event.currentTarget.value)}>
          {fitting.map((one) => (
            <option key={one.name}>{one.name}</option>
          ))}
        </select>
      )}
      <Moved studio={studio} state={state} ask={ask} generator={generator} codes={query.codes ?? NOTHING} several={fitting.length > 1} />
    </>
  );
}

interface MovedProps {
  studio: Studio;
  state: State;
  ask: Ask;
  generator: Generator;
  codes: QueryCodes;
  several: boolean;
}

function Moved({ studio, state, ask, generator, codes, several }: MovedProps) {
  const query = state.document!.query!;
  const text = state.document!.text;
  const [drag, setDrag] = useState<{ axis: string; t: number } | null>(null);
  const [find, setFind] = useState("");
  const [end, setEnd] = useState<Rated | null>(null);
  const [base, setBase] = useState<string | null>(null);
  const watched = query.target ?? base;
  const { rated, problem, counts, rate } = useRatings(ask, watched ? [watched] : [], query.input!);
  const known = generator.axes.map((axis) => axis.name).join("\n");
  // The places that were let go at and have no document yet: one that is not the last leaves the slider where the hand is.
  const released = useRef<(number | Sweep)[]>([]);
  const settle = () => {
    released.current = [];
    setDrag(null);
  };
  useEffect(() => {
    const place = drag ? released.current.indexOf(codes.moves[drag.axis] ?? 0) : -1;
    if (place >= 0 && place < released.current.length - 1) released.current.splice(0, place + 1);
    else settle();
    rate(null);
  }, [text, known, generator.name]);
  useEffect(settle, [state.problem, state.notice]);
  useEffect(() => setBase(null), [query.input, query.index, query.models[0]]);
  useEffect(() => {
    if (base === null && rated?.rows[0]?.prediction) setBase(rated.rows[0].prediction);
  }, [rated]);
  useEffect(() => {
    if (!codes.end) return setEnd(null);
    let current = true;
    ask({ do: "rate end", classes: watched ? [watched] : [] }).then(
      ([header, buffers]) => current && setEnd(ratedOf(header, buffers)),
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [codes.end, watched]);
  const drawn = several ? { generator: generator.name } : {};
  const move = (axis: string, t: number | Sweep, moving = false) => {
    const gesture: Gesture = { do: "axis", axis, t };
    if (moving && typeof t === "number") {
      setDrag({ axis, t });
      rate(gesture);
      return;
    }
    released.current.push(t);
    studio.gesture(gesture);
  };
  const shown = generator.axes.filter((axis) => axis.name.toLowerCase().includes(find.toLowerCase()));
  const moved = Object.keys(codes.moves).length + codes.mixes.length + (codes.counterfactual ? 1 : 0) > 0;
  const refused = state.status.state === "error" ? (state.status.message ?? "") : "";
  const within = /keep => residual/.test(refused) ? /within => ([0-9.]+)/.exec(refused)?.[1] : undefined;
  return (
    <div class="axes" data-updates={counts.updates} data-events={counts.events} data-generator={generator.name}>
      <div class="moves">
        {generator.axes.length > MANY && <input type="search" placeholder={`find among ${generator.axes.length} axes`} aria-label="Find an axis" onInput={(event) => setFind(event.currentTarget.value)} />}
        <ul class="sliders">
          {shown.map((axis) => (
            <Slider
              key={axis.name}
              axis={axis}
              at={drag?.axis === axis.name ? drag.t : (codes.moves[axis.name] ?? 0)}
              move={(t, moving) => move(axis.name, t, moving)}
            />
          ))}
          {!shown.length && <li class="hint">{generator.axes.length ? `no axis has “${find}” in its name` : `${generator.name} has no axes yet: create axis a on ${generator.name} as score(f, 'class')`}</li>}
        </ul>
        <div class="buttons">
          <label class="tick">
            <input type="checkbox" data-action="keep" disabled={!moved} checked={codes.keep} onChange={(event) => studio.gesture({ do: "keep", residual: event.currentTarget.checked })} />
            keep what the generator does not draw
          </label>
          <button data-action="end-point" aria-pressed={codes.end !== null} title="Maps then tell what differs between this place and the present one" onClick={() => studio.gesture({ do: "end point", on: codes.end === null })}>
            {codes.end === null ? "pin this end point" : "unpin the end point"}
          </button>
          {generator.collection && watched && (
            <button data-action="sort" title={`The inputs of ${generator.collection} in the order of ${query.models[0]}’s score of ${watched}`} onClick={() => studio.gesture({ do: "sort", collection: generator.collection!, class: watched })}>
              sort {generator.collection} by {watched}
            </button>
          )}
        </div>
        {within !== undefined && (
          <p class="refused" role="alert">
            The generator does not draw what decides.{" "}
            <button data-action="keep-residual" onClick={() => studio.gesture({ do: "keep", residual: true })}>
              keep =&gt; residual
            </button>{" "}
            <button data-action="within" onClick={() => studio.gesture({ do: "keep", within: Number(within) })}>
              within =&gt; {within}
            </button>
          </p>
        )}
        <Aim studio={studio} state={state} codes={codes} drawn={drawn} />
      </div>
      <Ratings rated={rated} end={end} watched={watched} problem={problem} />
      <Columns studio={studio} generator={generator} codes={codes} input={query.input!} drawn={drawn} rate={rate} />
      <Effects ask={ask} generator={generator} />
    </div>
  );
}

interface SliderProps {
  axis: Generator["axes"][number];
  at: number | Sweep;
  move(t: number | Sweep, moving?: boolean): void;
}

function Slider({ axis, at, move }: SliderProps) {
  const sweep = typeof at === "number" ? null : at.steps;
  const value = typeof at === "number" ? at : 0;
  const r2 = axis.r2 === null ? "" : `R² ${axis.r2.toFixed(2)}`;
  const said = sweep ? `${sweep[0]} … ${sweep[1]}` : `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value)} sd`;
  return (
    <li class="slider" title={`${axis.of}${axis.held.length ? `, holding ${axis.held.join(", ")}` : ""}`}>
      <span class="name">{axis.name}</span>
      <span class="r2">{r2}</span>
      <input
        type="range"
        min={Math.min(-FURTHEST, value)}
        max={Math.max(FURTHEST, value)}
        step={0.05}
        value={value}
        data-axis={axis.name}
        data-at={sweep ? "sweep" : value}
        aria-label={`${axis.name}, in standard deviations`}
        onInput={(event) => move(Number(event.currentTarget.value), true)}
        onChange={(event) => move(Number(event.currentTarget.value))}
      />
      <output>{said}</output>
      <button class="quiet" title={sweep ? "No sweep" : "A map at each of 7 steps"} aria-pressed={sweep !== null} onClick={() => move(sweep ? 0 : { steps: [-3, 3, 7] })}>
        ⋯<span class="hidden"> sweep {axis.name}</span>
      </button>
    </li>
  );
}

/** "Make it a …": the least move after which a model answers another class. */
function Aim({ studio, state, codes, drawn }: { studio: Studio; state: State; codes: QueryCodes; drawn: { generator?: string } }) {
  const query = state.document!.query!;
  const known = state.catalog?.models.find((model) => model.name === query.models[0])?.some ?? [];
  const aim = codes.counterfactual;
  return (
    <label class="aim">
      make it a
      <select
        aria-label="Class of the counterfactual"
        data-action="counterfactual"
        value={aim?.target ?? ""}
        onChange={(event) => studio.gesture({ do: "counterfactual", class: event.currentTarget.value || null, ...(query.models[0] ? { model: query.models[0] } : {}), ...drawn })}
      >
        <option value="">…</option>
        {[...new Set([...known, ...(aim?.target ? [aim.target] : [])])].map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
      <span class="hint">by {query.models[0]}</span>
    </label>
  );
}

registerPanel({
  name: "axes",
  title: "Axes",
  mount(element, { studio, ask }) {
    const draw = (state: State) => render(<Axes studio={studio} state={state} ask={ask} />, element);
    draw(studio.state);
    const gone = studio.subscribe(draw);
    return () => {
      gone();
      render(null, element);
    };
  },
});
