// Rooms for panels that come later: a panel is a name, a title and a function that fills an element.
import { Json } from "./protocol";
import { Studio } from "./state";

/** What a panel may do: read the state, ask as the studio does, speak with its half on the server. */
export interface PanelContext {
  studio: Studio;
  send(message: Json): void;
  receive(receiver: (message: Json, buffers: DataView[]) => void): void;
}

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
