// Shapes that are drawn, on the lattice of the picture: windows that stand on it share rows of the model, and read well.
import { Shape } from "../protocol";

/** About 28 steps to the shorter side, of a size that people can read. */
export function stepOf(width: number, height: number): number {
  const step = Math.min(width, height) / 28;
  if (step <= 1) return 1;
  return 2 ** Math.round(Math.log2(step));
}

const snap = (value: number, step: number, most: number) => Math.max(0, Math.min(most, Math.round(value / step) * step));

/** A box between two points (row, column); null where it holds nothing. */
export function boxBetween(
  from: [number, number],
  to: [number, number],
  size: [number, number],
  step: number,
): Shape | null {
  const rows = [snap(from[0], step, size[0]), snap(to[0], step, size[0])].sort((a, b) => a - b);
  const columns = [snap(from[1], step, size[1]), snap(to[1], step, size[1])].sort((a, b) => a - b);
  if (rows[0] === rows[1] || columns[0] === columns[1]) return null;
  return { kind: "box", at: [rows[0], columns[0], rows[1], columns[1]] };
}

/** A circle around a point that reaches another; null where it holds nothing. */
export function circleAround(centre: [number, number], edge: [number, number], size: [number, number], step: number): Shape | null {
  const radius = Math.round(Math.hypot(edge[0] - centre[0], edge[1] - centre[1]) / step) * step;
  if (radius < step) return null;
  return { kind: "circle", at: [snap(centre[0], step, size[0]), snap(centre[1], step, size[1]), radius] };
}

export function movedShape(shape: Shape, by: [number, number]): Shape {
  const at = shape.at;
  if (!at) return shape;
  if (shape.kind === "box") return { ...shape, at: [at[0] + by[0], at[1] + by[1], at[2] + by[0], at[3] + by[1]] };
  if (shape.kind === "circle") return { ...shape, at: [at[0] + by[0], at[1] + by[1], at[2]] };
  return shape;
}

/** How far a shape may go in a direction without leaving the picture. */
export function within(shape: Shape, by: [number, number], size: [number, number]): [number, number] {
  const at = shape.at;
  if (!at || (shape.kind !== "box" && shape.kind !== "circle")) return by;
  const low = shape.kind === "box" ? [at[0], at[1]] : [at[0], at[1]];
  const high = shape.kind === "box" ? [at[2], at[3]] : [at[0], at[1]];
  return [0, 1].map((side) => Math.max(-low[side], Math.min(size[side] - high[side], by[side]))) as [number, number];
}

export function contains(shape: Shape, [row, column]: [number, number]): boolean {
  const at = shape.at;
  if (!at) return false;
  if (shape.kind === "box") return row >= at[0] && row < at[2] && column >= at[1] && column < at[3];
  if (shape.kind === "circle") return Math.hypot(row - at[0], column - at[1]) <= at[2];
  return false;
}
