// What a hand on the stage does to the window: a shape takes its place; with Shift it is added, with Alt it is taken away.
import { Mode } from "../protocol";

export type DrawMode = Exclude<Mode, "clear">;

export const modeOf = (event: { shiftKey: boolean; altKey: boolean }): DrawMode =>
  event.shiftKey ? "add" : event.altKey ? "subtract" : "replace";
