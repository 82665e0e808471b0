// The whole page: render({model, el}) as anywidget calls it. A host (host.ts, or a notebook) gives the model that carries messages.
import { Component, ComponentChildren, render as renderTree } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Editor } from "./editor";
import { PanelContext, PanelPlace, registerPanel, registeredPanels } from "./panels";
import "./panels/axes";
import { Classes } from "./panels/classes";
import "./panels/concepts";
import { Edits } from "./panels/edits";
import { Inputs, Models } from "./panels/inputs";
import { LayersStrip } from "./panels/layers";
import { History, Share } from "./panels/menus";
import { Multiples } from "./panels/multiples";
import { PlanView } from "./panels/plan";
import { Players } from "./panels/players";
import { Precision } from "./panels/precision";
import { Windows } from "./panels/windows";
import { Json } from "./protocol";
import { number, percent } from "./stage/colours";
import { Legend, Stage } from "./stage/stage";
import { State, Studio, Tool, stale, standing } from "./state";
import { Model } from "./transport";

export { registerPanel };

interface Props {
  studio: Studio;
  state: State;
}

const TOOLS: { tool: Tool; key: string; title: string; path: string }[] = [
  { tool: "pointer", key: "v", title: "Select and move", path: "M5 3l12 8-5.2 1.2L9 17z" },
  { tool: "box", key: "b", title: "Box: drag to look there", path: "M3.5 5h13v10h-13z" },
  { tool: "circle", key: "c", title: "Circle: drag from its centre", path: "M10 3.5a6.5 6.5 0 1 0 .01 0z" },
  { tool: "erase", key: "e", title: "Erase: a box without what is in it", path: "M7 4h10v12H7l-5-6zM9.5 7.5l5 5m0-5l-5 5" },
  { tool: "rotate", key: "r", title: "Rotate the picture", path: "M15.5 7A6.5 6.5 0 1 0 16.5 11M16 3v4.5h-4.5" },
  { tool: "shift", key: "m", title: "Shift the picture", path: "M10 2v16M2 10h16M7.5 4.5L10 2l2.5 2.5M7.5 15.5L10 18l2.5-2.5M4.5 7.5L2 10l2.5 2.5M15.5 7.5L18 10l-2.5 2.5" },
];

/** A part that fails says so in its own place; the others go on. */
class Part extends Component<{ name: string; children: ComponentChildren }, { failed: string }> {
  state = { failed: "" };

  componentDidCatch(error: Error): void {
    console.error(error);
    this.setState({ failed: error.message });
  }

  render() {
    if (!this.state.failed) return this.props.children;
    return (
      <p class="hint" role="alert">
        {this.props.name} cannot be drawn: {this.state.failed} <button onClick={() => this.setState({ failed: "" })}>try again</button>
      </p>
    );
  }
}

function Toolbar({ studio, state }: Props) {
  const kind = state.document?.query?.kind ?? "image";
  return (
    <div class="tools" role="toolbar" aria-label="Brush">
      {kind === "image" &&
        TOOLS.map(({ tool, key, title, path }) => (
          <button
            key={tool}
            data-tool={tool}
            aria-pressed={state.tool === tool}
            aria-keyshortcuts={key.toUpperCase()}
            title={`${title} (${key.toUpperCase()}). Shift adds, Alt takes away`}
            onClick={() => studio.set({ tool })}
          >
            <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
              <path d={path} />
            </svg>
            <span class="hidden">{title}</span>
          </button>
        ))}
    </div>
  );
}

function Status({ studio, state }: Props) {
  const { status } = state;
  const running = standing(state) === "running";
  const problem = state.problem?.message;
  const words: string[] = [];
  const first = status.state === "done" && (state.document?.steps.length ?? 0) <= 1 && state.document?.query?.kind === "image" && !problem;
  if (!state.open && state.frames + (state.document ? 1 : 0) > 0) words.push("the server is away; trying again");
  else if (running) words.push(state.frame && !stale(state) ? "refining" : "asking");
  else if (status.state === "cancelled") words.push("cancelled; finished rows are kept");
  else if (status.state === "done") words.push("done");
  if (status.rows) words.push(`${status.rows.toLocaleString("en")}${running && status.forecast ? ` of about ${Math.round(status.forecast).toLocaleString("en")}` : ""} rows`);
  if (status.error != null && Number.isFinite(status.error)) words.push(`±${percent(status.error)}`);
  if (status.message && status.state !== "error") words.push(status.message);
  if (status.seconds && !running) words.push(`${number(status.seconds)} s`);
  const old = stale(state) && !problem;
  // Read aloud when the state changes, not at each batch of rows.
  const aloud = problem ?? [running ? words[0] : words.join(", "), state.notice].filter(Boolean).join(". ");
  return (
    <div class="status" data-part="status">
      <span class="said">
        {problem ? <b class="problem">{problem.split("\n")[0]}</b> : <span class="words">{words.join(" · ")}</span>}
        {state.notice && state.notice !== problem && <span class="notice"> {state.notice}</span>}
        {old && <em class="old"> the map answers the previous question</em>}
        {first && !state.notice && <span class="hint"> · Drag on the picture to ask about a part of it.</span>}
      </span>
      <span class="hidden" role="status" aria-live="polite">
        {aloud}
      </span>
      {running && (
        <progress max={1} value={status.forecast && status.rows ? Math.min(1, status.rows / status.forecast) : undefined} aria-label="Rows done" />
      )}
      {running && (
        <button data-action="cancel" title="Esc" onClick={() => studio.cancel()}>
          cancel
        </button>
      )}
    </div>
  );
}

function Sql({ studio, state }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  useLayoutEffect(() => {
    editor.current = new Editor(host.current!, studio);
    return () => editor.current?.destroy();
  }, []);
  useLayoutEffect(() => editor.current!.update(state.text, state.problem), [state.text, state.problem]);
  return (
    <section class="sql" aria-label="The query as SQL" data-dirty={state.dirty}>
      <div class="editor" data-part="sql" ref={host} />
      <button class="primary" data-action="ask" title="Ctrl+Enter" onClick={() => studio.ask()}>
        ask
      </button>
    </section>
  );
}

/** The panels of one place, each in a section of its own. */
function Panels({ studio, state, place }: Props & { place: PanelPlace }) {
  if (!state.catalog) return null; // which says where they stand
  const placed = new Map((state.catalog.panels ?? []).map((panel) => [panel.name, panel.place]));
  return (
    <>
      {registeredPanels()
        .filter((panel) => (placed.get(panel.name) ?? "side") === place)
        .map((panel) => (
          <PanelRoom key={panel.name} studio={studio} name={panel.name} title={panel.title} />
        ))}
    </>
  );
}

function PanelRoom({ studio, name, title }: { studio: Studio; name: string; title: string }) {
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let receiver: Parameters<PanelContext["receive"]>[0] = () => undefined;
    const send = studio.panel(name, (message, buffers) => receiver(message, buffers));
    const ask = (message: Json) => studio.request({ type: "panel", panel: name, message });
    const panel = registeredPanels().find((one) => one.name === name);
    const gone = panel?.mount(root.current!, { studio, ask, send, receive: (given) => (receiver = given) });
    return () => gone?.();
  }, [name]);
  return (
    <section data-part={name} aria-label={title}>
      <h2>{title}</h2>
      <div ref={root} />
    </section>
  );
}

function App({ studio, el }: { studio: Studio; el: HTMLElement }) {
  const [state, setState] = useState(studio.state);
  useEffect(() => {
    setState(studio.state);
    return studio.subscribe(setState);
  }, []);
  useLayoutEffect(() => {
    const { status, document } = state;
    const now = standing(state);
    const failed = state.problem?.message ?? (now === "error" ? (status.message ?? "error") : "");
    Object.assign(el.dataset, {
      state: now,
      query: document?.text ?? "",
      rows: String(status.rows ?? 0),
      error: failed || (status.error != null ? String(status.error) : ""),
      frames: String(state.frames),
      step: String(document?.step ?? ""),
      stage: state.frame?.stage ?? "",
      question: String(document?.question ?? ""),
      stale: String(state.frame === null || stale(state)),
    });
  });
  return (
    <div class="studio" onKeyDown={(event) => shortcuts(event, studio)}>
      <header>
        <h1>
          ialgebra studio <span>{state.catalog?.title ?? (state.catalog?.demo ? "demo" : "")}</span>
        </h1>
        <span class="grow" />
        <button data-action="undo" title="Step back (Ctrl+Z)" disabled={!state.document?.can_undo} onClick={() => studio.undo()}>
          ⟲<span class="hidden"> undo</span>
        </button>
        <button data-action="redo" title="Step forward (Ctrl+Shift+Z)" disabled={!state.document?.can_redo} onClick={() => studio.redo()}>
          ⟳<span class="hidden"> redo</span>
        </button>
        <History studio={studio} state={state} />
        <Share studio={studio} state={state} />
      </header>
      <aside aria-label="Catalog">
        <Part name="The inputs"><Inputs studio={studio} state={state} /></Part>
        <Part name="The models"><Models studio={studio} state={state} /></Part>
        <Part name="The windows"><Windows studio={studio} state={state} /></Part>
        <Panels studio={studio} state={state} place="side" />
      </aside>
      <main>
        <Part name="The stage"><Stage studio={studio} state={state} /></Part>
        <div class="under">
          <Toolbar studio={studio} state={state} />
          <Part name="The legend"><Legend state={state} /></Part>
        </div>
        <div class="dials">
          <Part name="The layers"><LayersStrip studio={studio} state={state} /></Part>
          <Part name="Precision"><Precision studio={studio} state={state} /></Part>
        </div>
        <Sql studio={studio} state={state} />
        <Status studio={studio} state={state} />
        {state.said && (
          <pre class="said" data-part="said" tabIndex={0}>
            {state.said}
          </pre>
        )}
        <Panels studio={studio} state={state} place="below" />
        <Part name="The small multiples"><Multiples studio={studio} state={state} /></Part>
        <Part name="The plan"><PlanView studio={studio} state={state} /></Part>
        <Part name="The table of players"><Players state={state} /></Part>
      </main>
      <aside class="right" aria-label="Answers and edits">
        <Part name="The classes"><Classes studio={studio} state={state} /></Part>
        <Panels studio={studio} state={state} place="beside" />
        <Part name="The edits"><Edits studio={studio} state={state} /></Part>
      </aside>
    </div>
  );
}

/** Keys that work wherever one is not typing. */
function shortcuts(event: KeyboardEvent, studio: Studio): void {
  const target = event.composedPath()[0] as HTMLElement;
  if (event.defaultPrevented) return;
  if (event.key === "Escape") return studio.cancel();
  const typing = target.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName);
  const control = event.ctrlKey || event.metaKey;
  if (control && event.key === "Enter") studio.ask();
  else if (typing && !(target instanceof HTMLInputElement && target.type === "range")) return;
  else if (control && event.key.toLowerCase() === "z") {
    if (event.shiftKey) studio.redo();
    else studio.undo();
  } else if (control && event.key.toLowerCase() === "y") studio.redo();
  else if (control || event.altKey || event.metaKey) return;
  else {
    const tool = TOOLS.find(({ key }) => key === event.key.toLowerCase());
    if (!tool) return;
    studio.set({ tool: tool.tool });
  }
  event.preventDefault();
}

export function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const studio = new Studio(model);
  el.classList.add("ialgebra-studio");
  renderTree(<App studio={studio} el={el} />, el);
  return () => renderTree(null, el);
}

export default { render };
