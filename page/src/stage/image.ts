// One picture with its map on two canvases: what is answered below, the window and the brush above. The brush draws here, at once; what
// it means goes to the server as a gesture.
import { Labels, OneMap, Picture, Shape } from "../protocol";
import { Studio, Tool } from "../state";
import { DrawMode, modeOf } from "./mode";
import { Raster, borders, greyed, paint, raster } from "./paint";
import { boxBetween, circleAround, contains, movedShape, stepOf, within } from "./lattice";
import { number } from "./colours";

export interface Look {
  picture: Picture | null;
  labels: Labels | null;
  map: OneMap | null;
  scale: number;
  stale: boolean;
  shapes: Shape[];
  shape: number;
  player: number;
  tool: Tool;
}

type Place = [number, number];
interface Drag {
  from: Place;
  to: Place;
  tool: Tool;
  mode: DrawMode;
  shape: number;
  sent: string;
}

const ARROWS: Record<string, Place> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
export const TURN = 5;

export class ImageStage {
  private readonly base = document.createElement("canvas");
  readonly overlay = document.createElement("canvas");
  private look: Look | null = null;
  private grey: { key: string; canvas: HTMLCanvasElement } | null = null;
  private where: { key: string; raster: Raster; lines: Path2D } | null = null;
  private drag: Drag | null = null;
  private pushed: Place | null = null;
  /** The window as it was when a drag or a push began: what moves is counted from there, whatever the server tells meanwhile. */
  private before: Shape[] | null = null;
  private readonly observer: ResizeObserver;
  private drawn = "";

  constructor(
    private readonly root: HTMLElement,
    private readonly studio: Studio,
    private readonly most: () => number,
  ) {
    this.overlay.tabIndex = 0;
    this.overlay.setAttribute("role", "application");
    root.append(this.base, this.overlay);
    this.overlay.addEventListener("pointerdown", (event) => this.down(event));
    this.overlay.addEventListener("pointermove", (event) => this.moved(event));
    this.overlay.addEventListener("pointerup", (event) => this.up(event));
    this.overlay.addEventListener("pointercancel", () => this.dropDrag());
    this.overlay.addEventListener("keydown", (event) => this.key(event));
    this.overlay.addEventListener("keyup", (event) => this.keyUp(event));
    this.overlay.addEventListener("blur", () => this.push());
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(root);
  }

  destroy(): void {
    this.observer.disconnect();
  }

  /** True while a drag is under way, which Esc gives up. */
  get busy(): boolean {
    return this.drag !== null;
  }

  update(look: Look, label: string): void {
    this.look = look;
    this.overlay.setAttribute("aria-label", label);
    this.overlay.dataset.tool = look.tool;
    this.draw();
  }

  private get size(): Place {
    const { picture, labels } = this.look ?? {};
    if (picture) return [picture.height, picture.width];
    if (labels) return labels.shape.slice(-2) as Place;
    return [1, 1];
  }

  private place(event: PointerEvent): Place {
    const box = this.overlay.getBoundingClientRect();
    return [((event.clientY - box.top) / box.height) * this.size[0], ((event.clientX - box.left) / box.width) * this.size[1]];
  }

  // ---- drawing ----

  private draw(): void {
    if (!this.look) return;
    const { picture, labels, map, scale, stale } = this.look;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [rows, columns] = this.size;
    const room = this.root.clientWidth || 300;
    const width = Math.max(40, Math.min(room, (this.most() * columns) / rows));
    const height = (width * rows) / columns;
    const pixels = [Math.round(width * ratio), Math.round(height * ratio)] as const;
    for (const each of [this.base, this.overlay]) {
      if (each.width !== pixels[0] || each.height !== pixels[1]) {
        [each.width, each.height] = pixels;
        each.style.width = `${width}px`;
        each.style.height = `${height}px`;
        this.drawn = "";
      }
    }
    if (picture && this.grey?.key !== picture.key) this.grey = { key: picture.key, canvas: greyed(picture) };
    if (!picture) this.grey = null;
    if (labels && this.where?.key !== labels.key) {
      const made = raster(labels);
      this.where = { key: labels.key, raster: made, lines: borders(made) };
    }
    if (!labels) this.where = null;
    const now = [picture?.key, labels?.key, scale, stale, pixels].join();
    if (now !== this.drawn || map !== this.lastMap) {
      paint(this.base, this.grey?.canvas ?? null, this.where?.raster ?? null, map, scale, stale, ratio);
      this.drawn = now;
      this.lastMap = map;
    }
    this.drawOverlay();
  }

  private lastMap: OneMap | null = null;
  private border: { key: string; path: Path2D } | null = null;

  private borderOf(player: number): Path2D {
    const key = `${this.where!.key} ${player}`;
    if (this.border?.key !== key) this.border = { key, path: borders(this.where!.raster, player) };
    return this.border.path;
  }

  private drawOverlay(): void {
    if (!this.look) return;
    const context = this.overlay.getContext("2d")!;
    const { width, height } = this.overlay;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    const factor = width / this.size[1];
    context.setTransform(factor, 0, 0, factor, 0, 0);
    const line = (Math.min(2, window.devicePixelRatio || 1) * 1) / factor;
    if (this.where) {
      const [sx, sy] = [this.size[1] / this.where.raster.width, this.size[0] / this.where.raster.height];
      context.save();
      context.scale(sx, sy);
      context.lineWidth = line / sx;
      context.strokeStyle = "rgba(255,255,255,.16)";
      context.stroke(this.where.lines);
      if (this.look.player >= 0) {
        const path = this.borderOf(this.look.player);
        context.lineWidth = (4 * line) / sx;
        context.strokeStyle = "#000";
        context.stroke(path);
        context.lineWidth = (2 * line) / sx;
        context.strokeStyle = "#fff";
        context.stroke(path);
      }
      context.restore();
    }
    const draft = this.draft();
    if (!draft || this.drag?.mode !== "replace" || this.drag.tool === "erase" || this.drag.tool === "pointer")
      this.shapes.forEach((shape, i) => i !== this.drag?.shape && !(this.pushed && shape === this.chosen) && this.outline(context, shape, line, i === this.look?.shape));
    if (this.pushed && this.chosen) this.outline(context, movedShape(this.chosen, this.pushed), line, true);
    if (draft) this.outline(context, draft, line, true, this.drag?.tool === "erase");
    if (this.drag?.tool === "rotate") this.guideTurn(context, line);
    if (this.drag?.tool === "shift") this.guideShift(context, line);
  }

  private outline(context: CanvasRenderingContext2D, shape: Shape, line: number, strong: boolean, erase = false): void {
    const path = new Path2D();
    const at = shape.at ?? [];
    if (shape.kind === "box") path.rect(at[1], at[0], at[3] - at[1], at[2] - at[0]);
    else if (shape.kind === "circle") path.arc(at[1], at[0], at[2], 0, 2 * Math.PI);
    else return;
    if (erase) {
      context.fillStyle = "rgba(20,20,20,.55)";
      context.fill(path);
    }
    const subtracted = shape.mode === "subtract" || this.drag?.mode === "subtract";
    context.setLineDash([]);
    context.lineWidth = (strong ? 4 : 3) * line;
    context.strokeStyle = "rgba(0,0,0,.65)";
    context.stroke(path);
    context.lineWidth = (strong ? 2 : 1.25) * line;
    context.strokeStyle = "#fff";
    if (subtracted) context.setLineDash([5 * line, 5 * line]);
    context.stroke(path);
    context.setLineDash([]);
  }

  private guideTurn(context: CanvasRenderingContext2D, line: number): void {
    const [rows, columns] = this.size;
    const degrees = this.turn();
    context.lineWidth = 2 * line;
    context.strokeStyle = "#fff";
    context.beginPath();
    context.arc(columns / 2, rows / 2, Math.min(rows, columns) / 4, -Math.PI / 2, -Math.PI / 2 - (degrees * Math.PI) / 180, degrees > 0);
    context.stroke();
    this.caption(context, `${degrees}°`);
  }

  private guideShift(context: CanvasRenderingContext2D, line: number): void {
    const [down, right] = this.shifted();
    context.lineWidth = 2 * line;
    context.strokeStyle = "#fff";
    context.strokeRect(right, down, this.size[1], this.size[0]);
    this.caption(context, `${down} down, ${right} right`);
  }

  private caption(context: CanvasRenderingContext2D, text: string): void {
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    context.font = `${12 * ratio}px ui-sans-serif, system-ui, sans-serif`;
    const width = context.measureText(text).width + 12 * ratio;
    context.fillStyle = "rgba(0,0,0,.75)";
    context.fillRect(6 * ratio, 6 * ratio, width, 20 * ratio);
    context.fillStyle = "#fff";
    context.fillText(text, 12 * ratio, 20 * ratio);
    context.restore();
  }

  // ---- the brush ----

  private get shapes(): Shape[] {
    return this.before ?? this.look?.shapes ?? [];
  }

  private get chosen(): Shape | null {
    const shapes = this.shapes;
    return shapes[this.look?.shape ?? -1] ?? shapes[shapes.length - 1] ?? null;
  }

  private get step(): number {
    return stepOf(this.size[1], this.size[0]);
  }

  private draft(): Shape | null {
    if (!this.drag) return null;
    const { from, to, tool, shape } = this.drag;
    if (tool === "box" || tool === "erase") return boxBetween(from, to, this.size, this.step);
    if (tool === "circle") return circleAround(from, to, this.size, this.step);
    if (tool === "pointer" && shape >= 0) return movedShape(this.shapes[shape], this.shifted());
    return null;
  }

  private turn(): number {
    const { from, to } = this.drag!;
    const [rows, columns] = this.size;
    const angle = (at: Place) => Math.atan2(rows / 2 - at[0], at[1] - columns / 2);
    const degrees = ((angle(to) - angle(from)) * 180) / Math.PI;
    const turned = Math.round(degrees / TURN) * TURN;
    return turned > 180 ? turned - 360 : turned <= -180 ? turned + 360 : turned;
  }

  private shifted(): Place {
    const { from, to, shape, tool } = this.drag!;
    const by = [0, 1].map((side) => Math.round((to[side] - from[side]) / this.step) * this.step) as Place;
    return tool === "pointer" && shape >= 0 ? within(this.shapes[shape], by, this.size) : by;
  }

  private hit(at: Place): number {
    const shapes = this.shapes;
    for (let i = shapes.length - 1; i >= 0; i--) if (contains(shapes[i], at)) return i;
    return -1;
  }

  private playerAt([row, column]: Place): number {
    if (!this.where) return -1;
    const { width, height, of } = this.where.raster;
    const y = Math.floor((row / this.size[0]) * height);
    const x = Math.floor((column / this.size[1]) * width);
    return y >= 0 && x >= 0 && y < height && x < width ? of[y * width + x] : -1;
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0 || !this.look) return;
    this.overlay.focus({ preventScroll: true });
    this.overlay.setPointerCapture(event.pointerId);
    const at = this.place(event);
    const mode = modeOf(event);
    const shape = this.look.tool === "pointer" ? this.hit(at) : -1;
    this.drag = { from: at, to: at, tool: this.look.tool, mode, shape, sent: "" };
    this.before = this.look.shapes;
    if (shape >= 0) this.studio.set({ shape });
    event.preventDefault();
  }

  private moved(event: PointerEvent): void {
    if (!this.drag) return;
    this.drag.to = this.place(event);
    this.drawOverlay();
    this.say(true);
  }

  private up(event: PointerEvent): void {
    if (!this.drag) return;
    this.drag.to = this.place(event);
    const at = this.drag.to;
    const said = this.say(false);
    this.drag = this.before = null;
    if (!said) {
      const player = this.playerAt(at);
      this.studio.set({ player, shape: this.hit(at), notice: player >= 0 ? this.describe(player) : "" });
    } else this.drawOverlay();
  }

  dropDrag(): void {
    this.drag = this.before = null;
    this.drawOverlay();
  }

  /** What the drag means, as a gesture; false where it means nothing yet. While it moves, only what differs from the last is sent. */
  private say(moving: boolean): boolean {
    const { tool, mode, shape } = this.drag!;
    const draft = this.draft();
    let said: Parameters<Studio["gesture"]>[0] | null = null;
    if (tool === "box" || tool === "circle") said = draft && { do: "window", shapes: [draft], mode };
    else if (tool === "erase") said = draft && { do: "edit", edit: "nullify", arguments: [], window: draft };
    else if (tool === "rotate") said = this.turn() !== 0 ? { do: "edit", edit: "rotate", arguments: [this.turn()] } : null;
    else if (tool === "shift") said = this.shifted().some((by) => by !== 0) ? { do: "edit", edit: "shift", arguments: this.shifted() } : null;
    else if (shape >= 0) said = this.shifted().some((by) => by !== 0) ? { do: "move", index: shape, at: draft!.at! } : null;
    if (!said) return false;
    const now = JSON.stringify(said);
    if (moving && now === this.drag!.sent) return true;
    this.drag!.sent = now;
    this.studio.gesture(said, moving);
    return true;
  }

  // ---- keys ----

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) {
      this.arrow(arrow, event);
      event.preventDefault();
    } else if (event.key === "Tab") {
      const next = this.nextPlayer(event.shiftKey ? -1 : 1);
      if (next === null) return;
      this.studio.set({ player: next, notice: this.describe(next) });
      event.preventDefault();
    } else if (event.key === "Enter" || event.key === " ") {
      this.takeTile(modeOf(event));
      event.preventDefault();
    } else if (event.key === "Escape" && this.drag) {
      this.dropDrag();
      event.stopPropagation();
    } else if (event.key === "Escape") {
      this.studio.set({ player: -1, shape: -1 });
    } else if ((event.key === "Delete" || event.key === "Backspace") && this.look?.shapes.length) {
      this.studio.gesture({ do: "window", shapes: [], mode: "clear" });
      event.preventDefault();
    }
  }

  /** Arrows move the window (Alt: its far edge); without a window they walk over the tiles. The step is the lattice's. */
  private arrow(arrow: Place, event: KeyboardEvent): void {
    const chosen = this.chosen;
    if (!chosen?.at) {
      const next = this.neighbour(arrow);
      if (next !== null) this.studio.set({ player: next, notice: this.describe(next) });
      return;
    }
    const index = this.shapes.indexOf(chosen);
    const by = arrow.map((part) => part * this.step) as Place;
    if (event.altKey) {
      const at = [...chosen.at];
      if (chosen.kind === "box") [at[2], at[3]] = [Math.max(at[0] + this.step, at[2] + by[0]), Math.max(at[1] + this.step, at[3] + by[1])];
      else at[2] = Math.max(this.step, at[2] + by[1] - by[0]);
      this.studio.gesture({ do: "window", shapes: this.shapes.map((shape, i) => (i === index ? { ...shape, at } : shape)), mode: "replace" });
      return;
    }
    this.before ??= this.look!.shapes;
    const sum = this.pushed ?? [0, 0];
    this.pushed = within(chosen, [sum[0] + by[0], sum[1] + by[1]], this.size);
    this.drawOverlay();
    this.studio.gesture({ do: "move", index, at: movedShape(chosen, this.pushed).at! }, true);
  }

  private keyUp(event: KeyboardEvent): void {
    if (ARROWS[event.key]) this.push();
  }

  /** Arrows held down are one gesture: it ends when they are let go. */
  private push(): void {
    if (!this.pushed || !this.chosen) return;
    const [by, chosen, index] = [this.pushed, this.chosen, this.shapes.indexOf(this.chosen)];
    this.pushed = this.before = null;
    if (by.some((part) => part !== 0)) this.studio.gesture({ do: "move", index, at: movedShape(chosen, by).at! });
  }

  private get players(): number {
    return this.look?.map?.values.length ?? 0;
  }

  private nextPlayer(by: number): number | null {
    const next = (this.look?.player ?? -1) + by;
    if (this.look?.player === -1 && by < 0) return null;
    if (next < 0 || next >= this.players) {
      this.studio.set({ player: -1 });
      return null;
    }
    return next;
  }

  private neighbour(arrow: Place): number | null {
    const centres = this.boxes().map((box) => box && ([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] as Place));
    const here = centres[this.look?.player ?? -1];
    if (!here) return this.players ? 0 : null;
    let [best, least] = [null as number | null, Infinity];
    centres.forEach((centre, player) => {
      if (!centre || player === this.look?.player) return;
      const off = [centre[0] - here[0], centre[1] - here[1]];
      const along = off[0] * arrow[0] + off[1] * arrow[1];
      const across = Math.abs(off[0] * arrow[1]) + Math.abs(off[1] * arrow[0]);
      const cost = along + 3 * across;
      if (along > 0.5 && cost < least) [best, least] = [player, cost];
    });
    return best;
  }

  /** Each player's box [top, left, bottom, right] in features. */
  private boxes(): (number[] | null)[] {
    if (!this.where) return [];
    const { width, height, of } = this.where.raster;
    const [sy, sx] = [this.size[0] / height, this.size[1] / width];
    const boxes: (number[] | null)[] = Array.from({ length: this.players }, () => null);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const player = of[y * width + x];
        if (player < 0 || player >= boxes.length) continue;
        const box = (boxes[player] ??= [Infinity, Infinity, 0, 0]);
        box[0] = Math.min(box[0], y * sy);
        box[1] = Math.min(box[1], x * sx);
        box[2] = Math.max(box[2], (y + 1) * sy);
        box[3] = Math.max(box[3], (x + 1) * sx);
      }
    return boxes;
  }

  private takeTile(mode: DrawMode): void {
    const box = this.boxes()[this.look?.player ?? -1];
    if (!box) return;
    const at = box.map(Math.round);
    if (this.look?.tool === "erase") this.studio.gesture({ do: "edit", edit: "nullify", arguments: [], window: { kind: "box", at } });
    else this.studio.gesture({ do: "window", shapes: [{ kind: "box", at }], mode });
  }

  private describe(player: number): string {
    const { map } = this.look ?? {};
    const box = this.boxes()[player];
    if (!map || !box) return "";
    const [top, left, bottom, right] = box.map(Math.round);
    const name = this.look?.labels?.names?.[player] ?? `rows ${top}-${bottom - 1}, cols ${left}-${right - 1}`;
    const value = map.values[player];
    const said = Number.isNaN(value) ? "unknown" : `${number(value)} ± ${number(1.96 * map.stderr[player])}`;
    return `Tile ${player + 1} of ${this.players}, ${name}: ${said}`;
  }
}
