// The attributes of a dictionary as chips beside the stage: what each adds, with its error. A click makes one what is explained, with
// Shift one of those that are looked at; the pointer or the focus on one shows the inputs that activate it most, and where it is.
import { render } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { PanelContext, registerPanel } from "../panels";
import { Json, OneMap, QueryConcepts, arraysOf, frameOf } from "../protocol";
import { number } from "../stage/colours";
import { State, Studio, Thumb } from "../state";
import { Chip } from "./chip";
import { ThumbCanvas } from "./thumb";
import { Where } from "./where";

const FEW = 12;
const RESTED = 140; // milliseconds on a chip until it is asked about

interface Relevance {
  names: string[];
  target: string | null;
  prediction: string;
  decision: string;
  surrogate: string;
  conflict: boolean;
  unexplained: number | null;
  v_empty: number | null;
  v_full: number | null;
  values: Float32Array;
  stderr: Float32Array;
  activation: Float32Array;
}

interface MostActive {
  collection: string | null;
  items: { index: number; activation: number; label: string | null; text: string | null }[];
  thumbs: Thumb[];
}

type Ask = PanelContext["ask"];

function relevanceOf(header: Json, buffers: DataView[]): Relevance {
  return { ...(header.message as Relevance), ...(arraysOf(header, buffers) as Pick<Relevance, "values" | "stderr" | "activation">) };
}

function mostActiveOf(header: Json, buffers: DataView[]): MostActive {
  const said = header.message as unknown as Omit<MostActive, "thumbs"> & { kind: string; width: number; height: number };
  const { rgb } = arraysOf(header, buffers) as { rgb?: Uint8Array };
  const size = (said.width ?? 0) * (said.height ?? 0) * 3;
  const thumbs = said.items.map((item, i) => ({
    kind: said.kind,
    width: said.width,
    height: said.height,
    rgb: rgb && size ? rgb.subarray(i * size, (i + 1) * size) : undefined,
    text: item.text ?? undefined,
  }));
  return { ...said, thumbs };
}

function Concepts({ studio, state, ask }: { studio: Studio; state: State; ask: Ask }) {
  const query = state.document?.query;
  const seen = query?.concepts ?? null;
  const model = seen?.model ?? query?.models[0] ?? null;
  const told = state.catalog?.panels?.find((panel) => panel.name === "concepts")?.models as Record<string, string[]> | undefined;
  const own = (model !== null && told?.[model]) || [];
  const [picked, setPicked] = useState("");
  const said = seen && (seen.playing || seen.target !== null) ? seen.dictionary : null;
  const dictionary = said ?? (own.includes(picked) ? picked : (own[0] ?? null));
  if (!query || model === null) return <p class="hint">A query of maps shows the concepts of its model here.</p>;
  if (dictionary === null)
    return (
      <p class="hint" data-none>
        {model} has no dictionary of concepts: <code>con.fit_concepts("{model}", inputs)</code> learns one, <code>con.load_concepts</code> reads one from a file.
      </p>
    );
  if (!seen) return <p class="hint">The query’s FROM is written by hand; its concepts come back with a simpler one.</p>;
  return (
    <>
      {own.length > 1 && (
        <select aria-label="Dictionary" value={dictionary} disabled={said !== null} onChange={(event) => setPicked(event.currentTarget.value)}>
          {own.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      )}
      <Attributes studio={studio} state={state} ask={ask} seen={seen} dictionary={dictionary} />
    </>
  );
}

interface AttributesProps {
  studio: Studio;
  state: State;
  ask: Ask;
  seen: QueryConcepts;
  dictionary: string;
}

function Attributes({ studio, state, ask, seen, dictionary }: AttributesProps) {
  const document = state.document!;
  const [relevance, setRelevance] = useState<Relevance | null>(null);
  const [failed, setFailed] = useState("");
  const [old, setOld] = useState(true);
  const [looked, setLooked] = useState<string | null>(null);
  const [find, setFind] = useState("");
  const [all, setAll] = useState(false);
  const list = useRef<HTMLUListElement>(null);
  // What a drag passes over is not asked about.
  const question = useRef("");
  if (!document.moving) question.current = `${document.question} ${document.text}`;
  useEffect(() => {
    let current = true;
    setOld(true);
    ask({ do: "relevance", dictionary }).then(
      ([header, buffers]) => {
        if (!current) return;
        setRelevance(relevanceOf(header, buffers));
        setFailed("");
        setOld(false);
      },
      (error: Error) => current && setFailed(error.message),
    );
    return () => {
      current = false;
    };
  }, [question.current, dictionary, state.catalog]);
  const order = useMemo(() => {
    const size = (k: number) => Math.abs(relevance!.values[k]) || 0;
    return relevance ? relevance.names.map((_, k) => k).sort((a, b) => size(b) - size(a)) : [];
  }, [relevance]);
  if (failed) return <p class="hint" role="alert">{failed.split("\n")[0]}</p>;
  if (!relevance) return <p class="hint">asking …</p>;
  const marked = (name: string) => name === seen.target || seen.chosen.includes(name);
  const wanted = find.trim().toLowerCase();
  const found = order.filter((k) => !wanted || relevance.names[k].toLowerCase().includes(wanted));
  const some = all ? found : found.filter((k, place) => place < FEW || marked(relevance.names[k]));
  const reach = Math.max(1e-30, Math.abs(relevance.unexplained ?? 0), ...relevance.names.map((_, k) => Math.abs(relevance.values[k]) + 1.96 * relevance.stderr[k] || 0));
  const target = (name: string) => studio.gesture({ do: "concept target", dictionary, attribute: name, on: seen.target !== name });
  const look = (name: string) => studio.gesture({ do: "concept window", dictionary, attribute: name, on: !(seen.playing && seen.chosen.includes(name)) });
  const shownLook = looked !== null && relevance.names.includes(looked) ? looked : seen.target;
  const walk = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    const chips = [...list.current!.querySelectorAll<HTMLButtonElement>("button.chip")];
    const at = chips.indexOf(event.target as HTMLButtonElement);
    if (step === undefined || at < 0) return;
    chips[Math.max(0, Math.min(chips.length - 1, at + step))].focus();
    event.preventDefault();
  };
  const first = some.find((k) => relevance.names[k] === looked) ?? some[0];
  return (
    <div class="concepts" data-old={old} data-dictionary={dictionary}>
      {relevance.conflict && (
        <p class="badge" data-conflict role="note">
          conflict: {relevance.surrogate} decides <b>{relevance.decision}</b>, {seen.model} predicts <b>{relevance.prediction}</b>
        </p>
      )}
      <div class="strip">
        <button data-action="all-concepts" aria-pressed={seen.playing} title="Put what all attributes add on the stage" onClick={() => studio.gesture({ do: "concept window", dictionary, attribute: null, on: !seen.playing })}>
          explain by attributes
        </button>
        {relevance.target !== null && (
          <span class="hint for" title={relevance.target}>
            for {relevance.target}
          </span>
        )}
      </div>
      {relevance.names.length > FEW && <input type="search" aria-label="Find an attribute" placeholder={`find among ${relevance.names.length}`} value={find} onInput={(event) => setFind(event.currentTarget.value)} />}
      <ul class="chips" ref={list} aria-label={`Attributes, those that add most${relevance.target === null ? "" : ` to ${relevance.target}`} first. Arrows walk, Enter explains one, Shift and Enter looks at it too.`} onKeyDown={walk}>
        {some.map((k) => (
          <Chip
            key={relevance.names[k]}
            name={relevance.names[k]}
            value={relevance.values[k]}
            error={1.96 * relevance.stderr[k]}
            activation={relevance.activation[k]}
            reach={reach}
            to={relevance.target}
            isTarget={relevance.names[k] === seen.target}
            isChosen={seen.chosen.includes(relevance.names[k])}
            reachable={k === first}
            target={target}
            look={look}
            rested={setLooked}
          />
        ))}
      </ul>
      {!found.length && <p class="hint">no attribute has “{find}” in its name</p>}
      {found.length > FEW && (
        <button class="plain" data-action="more-concepts" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "fewer" : `${found.length - some.length} more`}
        </button>
      )}
      {relevance.unexplained !== null && (
        <div class="unexplained" data-unexplained={relevance.unexplained} title={`What ${seen.model} says beyond its surrogate: its output less what all attributes give`}>
          <span class="name">unexplained</span>
          <Bar value={relevance.unexplained} reach={reach} />
          <span class="number">{number(relevance.unexplained)}</span>
        </div>
      )}
      <p class="hint">
        with all attributes {number(relevance.v_full)}, with none {number(relevance.v_empty)}
      </p>
      {shownLook === null ? <p class="hint">Point at an attribute to see what activates it most, and where it is.</p> : <Looked key={shownLook} studio={studio} ask={ask} name={shownLook} dictionary={dictionary} active={relevance.activation[relevance.names.indexOf(shownLook)]} of={relevance} />}
    </div>
  );
}

function Bar({ value, reach }: { value: number; reach: number }) {
  const width = (50 * Math.min(1, Math.abs(value) / reach)).toFixed(2);
  return (
    <span class="track" aria-hidden="true">
      <span class="fill rest" style={{ left: value < 0 ? `${50 - Number(width)}%` : "50%", width: `${width}%` }} />
    </span>
  );
}

/** What activates one attribute most, and where it is in the input that is shown. Asked once a relevance. */
function Looked({ studio, ask, name, dictionary, active, of }: { studio: Studio; ask: Ask; name: string; dictionary: string; active: number; of: Relevance }) {
  const [most, setMost] = useState<MostActive | null>(null);
  const [map, setMap] = useState<OneMap | null>(null);
  const [failed, setFailed] = useState("");
  useEffect(() => {
    let current = true;
    const later = (use: (answer: [Json, DataView[]]) => void) => (answer: [Json, DataView[]]) => current && use(answer);
    const fail = (error: Error) => current && setFailed(error.message.split("\n")[0]);
    const timer = setTimeout(() => {
      ask({ do: "most", dictionary, attribute: name }).then(later(([header, buffers]) => setMost(mostActiveOf(header, buffers))), fail);
      ask({ do: "where", dictionary, attribute: name }).then(
        later(([header, buffers]) => setMap(frameOf({ ...(header.message as Json), arrays: header.arrays }, buffers).maps[0] ?? null)),
        fail,
      );
    }, RESTED);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [of]);
  const ready = most !== null && map !== null;
  return (
    <div class="looked" data-looked={name} data-ready={ready} role="group" aria-label={`Attribute ${name}`}>
      <h3>
        {name} <span class="count">active {number(active)}</span>
      </h3>
      {failed && <p class="hint" role="alert">{failed}</p>}
      <p class="hint">{most?.collection ? `most active in ${most.collection}` : most ? "Register a collection of such inputs to see which activate it most." : "most active in …"}</p>
      {most?.collection && (
        <ul class="most">
          {most.items.map((item, i) => (
            <li key={item.index}>
              <button
                class="pick"
                data-most={`${most.collection}[${item.index}]`}
                title={`${most.collection}[${item.index}]${item.label ? `, ${item.label}` : ""}: active ${number(item.activation)}. Click: look at it`}
                onClick={() => studio.gesture({ do: "input", name: most.collection!, index: item.index })}
              >
                {most.thumbs[i].rgb ? <ThumbCanvas thumb={most.thumbs[i]} size={46} /> : <span class="line">{item.text}</span>}
                <span class="hidden">
                  {most.collection}[{item.index}] {item.label}
                </span>
                <span class="number">{number(item.activation)}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <p class="hint">where it is</p>
      {map ? <Where studio={studio} map={map} name={name} /> : <p class="hint">…</p>}
      <span class="hidden" role="status" aria-live="polite">
        {ready && `${name}: active ${number(active)}${most.items.length ? `, most in ${most.items.map((item) => `${most.collection}[${item.index}]`).join(", ")}` : ""}`}
      </span>
    </div>
  );
}

registerPanel({
  name: "concepts",
  title: "Concepts",
  mount(element, { studio, ask }) {
    const draw = () => render(<Concepts studio={studio} state={studio.state} ask={ask} />, element);
    draw();
    const stop = studio.subscribe(draw);
    return () => {
      stop();
      render(null, element);
    };
  },
});
