// The state of one studio and what its parts may ask of the server. Messages come in, one State goes out to who subscribed; knows no
// drawing.
import {
  Catalog,
  Completion,
  Document,
  Frame,
  Gesture,
  Json,
  Labels,
  Layer,
  Multiples,
  OneMap,
  Picture,
  Plan,
  Problem,
  Running,
  ScoreRow,
  Status,
  Thumbnails,
  arraysOf,
  frameOf,
  labelsOf,
  pictureOf,
} from "./protocol";
import { encoded } from "./address";
import { Model } from "./transport";

export type Tool = "pointer" | "box" | "circle" | "erase" | "rotate" | "shift";

export interface State {
  open: boolean;
  catalog: Catalog | null;
  document: Document | null;
  /** What stands in the editor; differs from the document's text until it is asked. */
  text: string;
  dirty: boolean;
  problem: Problem | null;
  notice: string;
  /** What a statement that is no query said: show, describe, explain. */
  said: string;
  status: Status;
  frame: Frame | null;
  frames: number;
  /** The largest value drawn, by layer; kept while a question is refined, so that colours do not change their meaning. */
  scales: Map<string, number>;
  labels: Map<string, Labels>;
  pictures: Map<string, Picture>;
  thumbnails: Map<string, Map<number, Thumb>>;
  scores: ScoreRow[];
  multiples: Map<number, Multiple>;
  multiplesTotal: number;
  multiplesQuestion: string | number | null;
  plan: Plan | null;
  tool: Tool;
  layer: string | null;
  player: number;
  shape: number;
}

export interface Thumb {
  kind: string;
  width: number;
  height: number;
  rgb?: Uint8Array;
  label?: string;
  text?: string;
}

export interface Multiple extends Thumb {
  input: string;
  index: number;
  prediction?: string | null;
  value?: number | null;
  sum?: number | null;
  rows: number;
  columns: number;
  heat?: Float32Array;
}

const FIRST: State = {
  open: false,
  catalog: null,
  document: null,
  text: "",
  dirty: false,
  problem: null,
  notice: "",
  said: "",
  status: { state: "idle" },
  frame: null,
  frames: 0,
  scales: new Map(),
  labels: new Map(),
  pictures: new Map(),
  thumbnails: new Map(),
  scores: [],
  multiples: new Map(),
  multiplesTotal: 0,
  multiplesQuestion: null,
  plan: null,
  tool: "box",
  layer: null,
  player: -1,
  shape: -1,
};

// The server believes that the page knows the last 64 of each.
const KEPT = 96;
const MOVING_PAUSE = 70;

export class Studio {
  state: State = FIRST;
  private subscribers = new Set<(state: State) => void>();
  private answers = new Map<number, (message: Json, buffers: DataView[]) => void>();
  private next = 1;
  private serial = 0;
  private readonly client: string;
  private moving: { gesture: Gesture | null; busy: boolean; timer: number } = { gesture: null, busy: false, timer: 0 };
  private lastGesture = 0;
  /** How often the text was typed at, now and when each message was sent: what was typed since is not written over. */
  private typed = 0;
  private typedBefore = new Map<number, number>();
  private checked = new Set<number>();
  private scoring = { busy: false, again: false };
  private asked = new Set<string>();
  private sheets: Promise<unknown> = Promise.resolve();
  private panels = new Map<string, (message: Json, buffers: DataView[]) => void>();

  constructor(readonly model: Model) {
    this.client = identity();
    model.on("msg:custom", (message, buffers) => this.receive(message, buffers));
    if (!model.address) this.hello();
  }

  subscribe(subscriber: (state: State) => void): () => void {
    this.subscribers.add(subscriber);
    return () => this.subscribers.delete(subscriber);
  }

  set(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
    for (const subscriber of this.subscribers) subscriber(this.state);
  }

  // ---- asking ----

  private send(message: Json, answered?: (message: Json, buffers: DataView[]) => void): number {
    const id = this.next++;
    if (answered) this.answers.set(id, answered);
    this.typedBefore.set(id, this.typed);
    this.typedBefore.delete(id - 1000);
    this.model.send({ ...message, id });
    return id;
  }

  request(message: Json): Promise<[Json, DataView[]]> {
    return new Promise((resolve, reject) =>
      this.send(message, (answer, buffers) =>
        answer.type === "problem" ? reject(new Error(String(answer.message))) : resolve([answer, buffers]),
      ),
    );
  }

  private hello(): void {
    this.send({ type: "hello", client: this.client, url: this.model.address?.read() ?? "", since: this.serial });
  }

  /** A final gesture is an undo step. One still moving is sent at most every 70 ms, the latest only, and never two at a time. */
  gesture(gesture: Gesture, moving = false): void {
    if (moving) {
      this.moving.gesture = gesture;
      this.pump();
      return;
    }
    this.moving.gesture = null;
    clearTimeout(this.moving.timer);
    this.moving.timer = 0;
    this.lastGesture = this.send({ type: "gesture", gesture, moving: false });
  }

  private pump(): void {
    if (this.moving.busy || this.moving.timer || !this.moving.gesture) return;
    const gesture = this.moving.gesture;
    this.moving.gesture = null;
    this.moving.busy = true;
    this.moving.timer = window.setTimeout(() => {
      this.moving.timer = 0;
      this.pump();
    }, MOVING_PAUSE);
    this.send({ type: "gesture", gesture, moving: true }, () => {
      this.moving.busy = false;
      this.pump();
    });
  }

  edited(text: string): void {
    if (text === this.state.text) return;
    this.typed += 1;
    this.set({ text, dirty: text !== this.state.document?.text });
    const id = this.send({ type: "text", text }, (answer) => {
      if (text !== this.state.text) return;
      if (answer.type === "problem") this.set({ problem: problemOf(answer) });
    });
    this.checked.add(id);
  }

  ask(text: string = this.state.text): void {
    this.set({ notice: "", said: "" });
    this.send({ type: "ask", text });
  }

  cancel(): void {
    this.send({ type: "cancel" });
  }

  undo(): void {
    this.send({ type: "undo" });
  }

  redo(): void {
    this.send({ type: "redo" });
  }

  goto(step: number): void {
    this.send({ type: "goto", step });
  }

  layers(layers: Layer[], moving = false): void {
    this.gesture({ do: "layers", layers }, moving);
  }

  async complete(text: string, at: number): Promise<{ from: number; options: Completion[] }> {
    const [answer] = await this.request({ type: "complete", text, at });
    return answer as unknown as { from: number; options: Completion[] };
  }

  async classes(model: string, find: string): Promise<string[]> {
    const [answer] = await this.request({ type: "classes", model, find, most: 60 });
    return answer.names as string[];
  }

  /** Scores of the document's models and (edited) input: one question at a time, and the latest document's after it. */
  score(): void {
    if (this.scoring.busy) {
      this.scoring.again = true;
      return;
    }
    this.scoring = { busy: true, again: false };
    const target = this.state.document?.query?.target;
    this.send({ type: "predict", classes: target ? [target] : [] }, (answer) => {
      if (answer.type === "scores") this.set({ scores: answer.rows as ScoreRow[] });
      this.scoring.busy = false;
      if (this.scoring.again) this.score();
    });
  }

  async explainPlan(): Promise<void> {
    try {
      const [answer] = await this.request({ type: "plan" });
      const plan = answer as unknown as Plan;
      this.set({ plan: { ...plan, nodes: plan.nodes ?? [], edges: plan.edges ?? [], laws: plan.laws ?? [] } });
    } catch {
      this.set({ plan: null });
    }
  }

  /** Sheets are asked one after the other: the server drops what a later request of the same type overtakes. */
  private sheet(message: Json): Promise<[Json, DataView[]]> {
    const answer = this.sheets.then(() => this.request(message));
    this.sheets = answer.catch(() => undefined);
    return answer;
  }

  /** Thumbnails from..to of an input, asked once. */
  async thumbnail(input: string, from: number, to: number): Promise<void> {
    const key = `${input} ${from}`;
    if (this.asked.has(key)) return;
    this.asked.add(key);
    try {
      const [header, buffers] = await this.sheet({ type: "thumbnails", input, from, to });
      this.keepThumbnails(header as unknown as Thumbnails, header, buffers);
    } catch {
      this.asked.delete(key);
    }
  }

  private keepThumbnails(sheet: Thumbnails, header: Json, buffers: DataView[]): void {
    const { rgb } = arraysOf(header, buffers) as { rgb?: Uint8Array };
    const size = (sheet.width ?? 0) * (sheet.height ?? 0) * 3;
    const count = rgb && size ? rgb.length / size : (sheet.texts?.length ?? 0);
    const known = new Map(this.state.thumbnails.get(sheet.input) ?? []);
    for (let i = 0; i < count; i++)
      known.set(sheet.from + i, {
        kind: sheet.kind,
        width: sheet.width,
        height: sheet.height,
        rgb: rgb && size ? rgb.subarray(i * size, (i + 1) * size) : undefined,
        label: sheet.labels?.[i],
        text: sheet.texts?.[i],
      });
    this.set({ thumbnails: new Map(this.state.thumbnails).set(sheet.input, known) });
  }

  async multiples(from: number, to: number): Promise<void> {
    const question = this.state.frame?.question ?? null;
    try {
      const [header, buffers] = await this.sheet({ type: "multiples", from, to });
      const sheet = header as unknown as Multiples;
      const { rgb, heat } = arraysOf(header, buffers) as { rgb?: Uint8Array; heat?: Float32Array };
      const size = (sheet.width ?? 0) * (sheet.height ?? 0) * 3;
      const cells = (sheet.rows ?? 0) * (sheet.columns ?? 0);
      const known = this.state.multiplesQuestion === question ? new Map(this.state.multiples) : new Map<number, Multiple>();
      sheet.items.forEach((item, i) =>
        known.set(sheet.from + i, {
          ...item,
          label: item.label ?? undefined,
          kind: sheet.kind,
          width: sheet.width,
          height: sheet.height,
          rows: sheet.rows,
          columns: sheet.columns,
          rgb: rgb && size ? rgb.subarray(i * size, (i + 1) * size) : undefined,
          heat: heat && cells ? heat.subarray(i * cells, (i + 1) * cells) : undefined,
        }),
      );
      this.set({ multiples: known, multiplesTotal: sheet.total, multiplesQuestion: question });
    } catch {
      return;
    }
  }

  async share(kind: "sql" | "py" | "html" | "axes"): Promise<{ name: string; href: string }> {
    const [answer] = await this.request({ type: "export", kind });
    return answer as unknown as { name: string; href: string };
  }

  /** Messages of a registered panel: what its server half says goes to `receive`. */
  panel(name: string, receive: (message: Json, buffers: DataView[]) => void): (message: Json) => void {
    this.panels.set(name, receive);
    return (message) => this.send({ type: "panel", panel: name, message });
  }

  // ---- being told ----

  private receive(message: Json, buffers: DataView[]): void {
    if (typeof message.serial === "number") this.serial = message.serial;
    const re = typeof message.re === "number" ? message.re : 0;
    const answered = this.answers.get(re);
    this.answers.delete(re);
    this.take(message, buffers, re, answered !== undefined);
    answered?.(message, buffers);
  }

  private take(message: Json, buffers: DataView[], re: number, answered: boolean): void {
    switch (message.type) {
      case "connection":
        this.set({ open: message.open === true });
        if (message.open) this.greet();
        break;
      case "catalog":
        this.set({ catalog: message as unknown as Catalog });
        this.asked.clear();
        for (const input of (message as unknown as Catalog).inputs) void this.thumbnail(input.name, 0, 60);
        break;
      case "document":
        this.takeDocument(message as unknown as Document, re);
        break;
      case "status":
        this.takeStatus(message as unknown as Status);
        break;
      case "map":
        this.takeFrame(frameOf(message, buffers));
        break;
      case "labels": {
        const labels = labelsOf(message, buffers);
        this.set({ labels: kept(this.state.labels, labels.key, labels, KEPT) });
        break;
      }
      case "picture": {
        const picture = pictureOf(message, buffers);
        this.set({ pictures: kept(this.state.pictures, picture.key, picture, KEPT) });
        break;
      }
      case "scores":
        if (re === 0) this.set({ scores: message.rows as ScoreRow[] });
        break;
      case "answer":
        this.set({ said: String(message.text) });
        break;
      case "problem":
        if (message.superseded !== true && !answered) this.set({ problem: problemOf(message), notice: String(message.message) });
        break;
      case "panel":
        this.panels.get(String(message.panel))?.(message.message as Json, buffers);
        break;
    }
  }

  private greet(): void {
    this.answers.clear();
    this.asked.clear();
    this.sheets = Promise.resolve();
    this.moving.busy = false;
    this.scoring = { busy: false, again: false };
    this.hello();
  }

  private takeDocument(document: Document, re: number): void {
    const before = this.state.document;
    if (document.moving && re < this.lastGesture) return;
    if (this.checked.delete(re)) {
      // What the editor holds was looked at, not asked: shapes and controls follow it, the text is the user's.
      if (document.text !== this.state.text) return;
      const query = document.query ?? before?.query ?? null;
      this.set({ document: { ...(before ?? document), query }, problem: document.problem });
      return;
    }
    const untouched = re ? (this.typedBefore.get(re) ?? this.typed) === this.typed : !this.state.dirty;
    const change: Partial<State> = { document, notice: "", said: "" };
    if (untouched) Object.assign(change, { text: document.text, dirty: false, problem: document.problem });
    else change.dirty = document.text !== this.state.text;
    if (document.query?.input !== before?.query?.input) change.player = -1;
    this.set(change);
    if (!document.moving) this.writeAddress(document);
    // Scores of what stands come with its question; while a slider moves they are asked for, since maps come more slowly.
    if (document.moving && questionOfScores(document) !== questionOfScores(before)) this.score();
  }

  private writeAddress(document: Document): void {
    this.model.address?.write(encoded(document.text, document.seed ?? null));
  }

  private takeStatus(status: Status): void {
    this.set({ status, problem: status.state === "error" && status.message ? { message: status.message } : this.state.problem });
  }

  private takeFrame(frame: Frame): void {
    const before = this.state.frame;
    const fresh = before?.question !== frame.question;
    const scales = fresh || frame.stage === "whole" ? new Map<string, number>() : new Map(this.state.scales);
    for (const map of frame.maps) {
      const key = String(map.layer ?? "*");
      let most = scales.get(key) ?? 0;
      if (fresh || frame.stage === "whole" || most === 0) for (const value of map.values) if (Math.abs(value) > most) most = Math.abs(value);
      scales.set(key, most);
    }
    this.set({ frame, frames: this.state.frames + 1, scales });
  }
}

/** What the class bars depend on. */
function questionOfScores(document: Document | null): string {
  const query = document?.query;
  if (!query) return "";
  return JSON.stringify([query.models, query.input, query.index, query.edits, query.compare, query.target]);
}

function kept<V>(all: Map<string, V>, key: string, value: V, most: number): Map<string, V> {
  const next = new Map(all);
  next.delete(key);
  next.set(key, value);
  for (const oldest of next.keys()) {
    if (next.size <= most) break;
    next.delete(oldest);
  }
  return next;
}

function problemOf(message: Json): Problem {
  return { message: String(message.message), start: message.start as number | null, end: message.end as number | null };
}

function identity(): string {
  const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    const known = sessionStorage.getItem("ialgebra-studio") ?? fresh();
    sessionStorage.setItem("ialgebra-studio", known);
    return known;
  } catch {
    return fresh();
  }
}

// ---- what is looked at ----

/** Whether the map answers another question than the one that stands on the page; while something moves, maps follow it. */
export const stale = (state: State): boolean =>
  state.frame !== null && state.document !== null && !state.document.moving && state.frame.text !== state.document.text;

/** How the query stands; one that means nothing is an error, whatever was asked before it. */
export function standing(state: State): Running {
  const asked = state.document?.question != null || !state.document?.problem;
  return asked ? state.status.state : "error";
}

/** The layers of the frame's maps, in order. */
export function layersOf(frame: Frame | null): string[] {
  return [...new Set((frame?.maps ?? []).map((map) => String(map.layer ?? "*")))];
}

/** The maps of the stage and of what is pinned: the two sides of an anti-join, of one layer; else one map alone. */
export function shown(state: State): { map: OneMap | null; pinned: OneMap | null; scale: number } {
  const layers = layersOf(state.frame);
  const layer = state.layer !== null && layers.includes(state.layer) ? state.layer : (layers[layers.length - 1] ?? "*");
  const maps = (state.frame?.maps ?? []).filter((map) => String(map.layer ?? "*") === layer);
  const map = maps.find((one) => (one.component ?? 0) === 0) ?? maps[0] ?? null;
  const pinned = maps.find((one) => one.component === 1) ?? null;
  return { map, pinned, scale: state.scales.get(layer) || 1 };
}
