// The messages between the page and the server, and how a binary one is read. Knows no DOM and no transport.

export type Kind = "image" | "tokens" | "table" | "series" | "volume" | "video" | "composite";
export type Layer = number | string;
export type Json = { [key: string]: unknown };

export type Mode = "replace" | "add" | "subtract" | "clear";

/** A piece of a window. Boxes are [top, left, bottom, right], half open; circles [row, column, radius]; spans and times are inclusive. */
export interface Shape {
  kind: "box" | "circle" | "name" | "span" | "columns" | "times" | "slices" | "frames" | "text";
  at?: number[];
  name?: string;
  names?: string[];
  mode?: "add" | "subtract" | "within";
  text?: string;
}

export interface Edit {
  edit: string;
  arguments: (number | string)[];
  window?: Shape[] | null;
}

export type Gesture =
  | { do: "model"; name: string }
  | { do: "compare"; model: string | null }
  | { do: "input"; name: string; index: number | null }
  | { do: "pin"; input: string | null; index: number | null }
  | { do: "target"; class: string | null }
  | { do: "layers"; layers: Layer[] }
  | { do: "window"; shapes: Shape[]; mode: Mode }
  | { do: "move"; index: number; at: number[] }
  | { do: "name"; name: string }
  | { do: "hottest"; percent: number; name: string }
  | { do: "edit"; edit: string; arguments: (number | string)[]; window?: Shape | Shape[] | null; remove?: boolean }
  | { do: "before after"; on: boolean }
  | { do: "rank"; by: string | null; descending?: boolean; limit?: number; having?: string | null }
  | { do: "precision"; error: number | null; seconds: number | null; budget: number | null }
  | { do: "players"; rows: number; columns: number }
  | { do: "baseline"; text: string }
  | { do: "concept target"; dictionary: string; attribute: string; on: boolean }
  | { do: "concept window"; dictionary: string; attribute: string | null; on: boolean }
  | { do: "axis"; axis: string; t: number | Sweep }
  | { do: "mix"; level: number; source: string | null; generator?: string }
  | { do: "mix"; source: string; p: number }
  | { do: "counterfactual"; class: string | null; model?: string; margin?: number; generator?: string }
  | { do: "keep"; residual: boolean }
  | { do: "keep"; within: number | null }
  | { do: "end point"; on: boolean }
  | { do: "sort"; collection: string; class: string; descending?: boolean };

/** Several places of a slider: from, to, and how many. */
export interface Sweep {
  steps: [number, number, number];
}

/** What generators do to the query's input. A mix without levels is one of all levels. */
export interface QueryCodes {
  moves: Record<string, number | Sweep>;
  mixes: { source: string; levels: number[]; p: number | Sweep }[];
  counterfactual: { target: string | null; model: string | null; margin: number | null } | null;
  keep: boolean;
  within: number | null;
  end: string | null;
}

export interface ModelEntry {
  name: string;
  layers: (Layer | { index: number; name?: string })[];
  classes: number;
  some?: string[];
  output?: string;
}

export interface InputEntry {
  name: string;
  kind: Kind;
  count: number;
  shape: number[];
  labels?: string[];
  feature_names?: string[];
}

/** A panel's half on the server, and what it tells. */
export interface PanelEntry {
  name: string;
  title: string;
  place: "side" | "beside" | "below";
  [told: string]: unknown;
}

export interface Catalog {
  title?: string;
  demo?: boolean;
  models: ModelEntry[];
  inputs: InputEntry[];
  windows: { name: string; text: string }[];
  views?: { name: string; text: string }[];
  panels?: PanelEntry[];
}

/** What a query says of the attributes of a dictionary: the one that is explained, and those that are looked at. */
export interface QueryConcepts {
  model: string;
  dictionary: string | null;
  playing: boolean;
  target: string | null;
  chosen: string[];
}

export interface Query {
  models: string[];
  input: string | null;
  index: number | null;
  pin: { input: string; index: number | null } | string | null;
  compare: string | null;
  target: string | null;
  layers: Layer[];
  shapes: Shape[];
  window_text: string | null;
  edits: Edit[] | null;
  before_after?: boolean;
  rank: { by: string | null; descending: boolean; limit: number | null; having?: string | null } | null;
  precision: { error: number | null; confidence?: number | null; seconds: number | null; budget: number | null } | null;
  players: string | null;
  baseline?: string | null;
  kind: Kind | null;
  concepts?: QueryConcepts | null;
  codes?: QueryCodes | null;
  /** Its FROM is of a form that the controls do not know. */
  by_hand?: boolean;
}

export interface Step {
  n: number;
  parent: number | null;
  text: string;
  label: string;
}

export interface Problem {
  message: string;
  start?: number | null;
  end?: number | null;
}

export interface Document {
  text: string;
  step: number;
  steps: Step[];
  can_undo: boolean;
  can_redo: boolean;
  question?: string | number | null;
  moving?: boolean;
  seed?: number | null;
  query: Query | null;
  problem: Problem | null;
}

export type Running = "idle" | "running" | "done" | "cancelled" | "error";

export interface Status {
  state: Running;
  question?: string | number | null;
  rows?: number;
  forecast?: number | null;
  seconds?: number;
  error?: number | null;
  asked?: number | null;
  bound_met?: boolean | null;
  message?: string;
}

export interface MapHeader {
  model: string;
  input: string;
  index: number | null;
  layer: Layer | null;
  label?: string;
  target?: string | null;
  prediction?: string | null;
  component?: number | null;
  v_empty?: number | null;
  v_full?: number | null;
  labels: string;
  picture?: string;
  kind: Kind;
}

export interface OneMap extends MapHeader {
  values: Float32Array;
  stderr: Float32Array;
}

export interface Frame {
  question: string | number;
  stage: "coarse" | "partial" | "whole";
  text: string;
  rows: number;
  reused?: number;
  bound?: number | null;
  bound_met?: boolean | null;
  maps: OneMap[];
}

export interface Labels {
  key: string;
  kind: Kind;
  shape: number[];
  names?: string[];
  of: Int32Array;
}

export interface Picture {
  key: string;
  kind: Kind;
  input: string;
  index: number | null;
  width: number;
  height: number;
  rgb?: Uint8Array;
  tokens?: string[];
  columns?: { name: string; value: number | string | null }[];
  names?: string[];
  series?: Float32Array;
  shape?: number[];
}

export interface Thumbnails {
  input: string;
  from: number;
  total: number;
  kind: Kind;
  width: number;
  height: number;
  labels?: string[] | null;
  texts?: string[] | null;
  rgb?: Uint8Array;
}

export interface MultipleItem {
  input: string;
  index: number;
  label?: string | null;
  prediction?: string | null;
  target?: string | null;
  value?: number | null;
  sum?: number | null;
}

export interface Multiples {
  from: number;
  total: number;
  question?: string | number | null;
  items: MultipleItem[];
  kind: Kind;
  width: number;
  height: number;
  rows: number;
  columns: number;
  rgb?: Uint8Array;
  heat?: Float32Array;
}

export interface ScoreRow {
  input: string;
  index: number | null;
  step: number | null;
  model: string;
  prediction: string;
  classes: string[];
  probabilities: number[];
  raw?: boolean;
}

export interface Plan {
  nodes: { id: string | number; label: string; kind?: string }[];
  edges: [string | number, string | number][];
  laws: { law: string; formula?: string; times?: number }[];
  saved?: { by: string; rows: number }[];
  rows?: number | null;
  rows_as_written?: number | null;
  seconds?: number | null;
  text?: string;
}

export interface Completion {
  label: string;
  kind?: string;
  detail?: string;
}

type Values = Float32Array | Int32Array | Uint8Array;
const BYTES = { float32: 4, int32: 4, uint8: 1 } as const;

/** The arrays that a header lists, copied out of the buffer that came with it. */
export function arraysOf(header: Json, buffers: DataView[]): Record<string, Values> {
  const found: Record<string, Values> = {};
  let buffer = 0;
  let offset = 0;
  for (const { name, dtype, shape } of (header.arrays ?? []) as { name: string; dtype: keyof typeof BYTES; shape: number[] }[]) {
    const bytes = shape.reduce((size, n) => size * n, 1) * BYTES[dtype];
    while (buffer < buffers.length - 1 && offset + bytes > buffers[buffer].byteLength) {
      buffer += 1;
      offset = 0;
    }
    const view = buffers[buffer];
    const start = view.byteOffset + offset;
    const copy = view.buffer.slice(start, start + bytes) as ArrayBuffer;
    found[name] = dtype === "float32" ? new Float32Array(copy) : dtype === "int32" ? new Int32Array(copy) : new Uint8Array(copy);
    offset += bytes;
  }
  return found;
}

/** A binary message: its length of header as u32, the header, the arrays. */
export function split(message: ArrayBuffer): [Json, DataView[]] {
  const length = new DataView(message).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 4, length))) as Json;
  return [header, [new DataView(message, 4 + length)]];
}

export function frameOf(header: Json, buffers: DataView[]): Frame {
  const { values, stderr, offsets } = arraysOf(header, buffers) as { values: Float32Array; stderr: Float32Array; offsets: Int32Array };
  const maps = (header.maps as MapHeader[]).map((map, i) => {
    const [start, end] = [offsets[i], i + 1 < offsets.length ? offsets[i + 1] : values.length];
    return { ...map, values: values.subarray(start, end), stderr: stderr.subarray(start, end) };
  });
  return { ...(header as unknown as Frame), maps };
}

export function labelsOf(header: Json, buffers: DataView[]): Labels {
  const { labels } = arraysOf(header, buffers) as { labels: Int32Array };
  return { ...(header as unknown as Labels), of: labels };
}

export function pictureOf(header: Json, buffers: DataView[]): Picture {
  const { rgb, series } = arraysOf(header, buffers) as { rgb?: Uint8Array; series?: Float32Array };
  const listed = (header.arrays ?? []) as { name: string; shape: number[] }[];
  const shape = listed.find((array) => array.name === "series")?.shape;
  return { ...(header as unknown as Picture), rgb, series, shape };
}

export const pinOf = (query: Query | null | undefined): { input: string; index: number | null } | null => {
  const pin = query?.pin ?? null;
  return typeof pin === "string" ? { input: pin, index: null } : pin;
};

export const layerName = (layer: Layer | { index: number; name?: string }): string =>
  typeof layer === "object" ? String(layer.index) : String(layer);
