// What the stage of every kind but pictures is given: the input and one map of it, on the scale that both sides share.
import { OneMap, Picture } from "../protocol";
import { State, Studio } from "../state";

export interface StageProps {
  studio: Studio;
  state: State;
  picture: Picture | null;
  map: OneMap | null;
  scale: number;
  /** Whether the map answers the question before this one. */
  old: boolean;
}
