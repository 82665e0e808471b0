// Rooms for panels that come later: a panel is a name, a title and a function that fills an element.
import { Json } from "./protocol";
import { Studio } from "./state";

/** What a panel may do: read the state, ask as the studio does, speak with its half on the server. */
export interface PanelContext {
  studio: Studio;
  /** Asks the half on the server, whose answer is a header, of which `message` is what it says, with arrays in `buffers`. A later
   * message with the same `do` takes the place of one that is not answered yet, which fails then. */
  ask(message: Json): Promise<[Json, DataView[]]>;
  send(message: Json): void;
  receive(receiver: (message: Json, buffers: DataView[]) => void): void;
}

/** Where a panel stands: below the inputs, right of the stage, below the stage. Its half on the server says which. */
export type PanelPlace = "side" | "beside" | "below";

export interface Panel {
  name: string;
  title: string;
  /** Fills `element`; what it returns is called when the panel goes. */
  mount(element: HTMLElement, context: PanelContext): (() => void) | void;
}

const registered: Panel[] = [];

export function registerPanel(panel: Panel): void {
  const known = registered.findIndex((other) => other.name === panel.name);
  if (known >= 0) registered[known] = panel;
  else registered.push(panel);
}

export const registeredPanels = (): readonly Panel[] => registered;
