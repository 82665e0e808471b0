// One attribute as a chip: its name, a bar of what it adds with its error, marks where it is explained or looked at.
import { css, number } from "../stage/colours";

interface Props {
  name: string;
  value: number;
  /** Half the width of the interval of 95 %. */
  error: number;
  activation: number;
  /** The value at the end of a bar. */
  reach: number;
  to: string | null;
  isTarget: boolean;
  isChosen: boolean;
  /** Whether Tab comes here; arrows lead to the others. */
  reachable: boolean;
  target(name: string): void;
  look(name: string): void;
  rested(name: string): void;
}

let pointer = "";

/** Whether the pointer moved, and not the page under it. */
function moved(event: PointerEvent): boolean {
  const before = pointer;
  pointer = `${event.screenX} ${event.screenY}`;
  return pointer !== before;
}

export function Chip({ name, value, error, activation, reach, to, isTarget, isChosen, reachable, target, look, rested }: Props) {
  const known = !Number.isNaN(value);
  const place = (at: number) => `${50 + 50 * Math.max(-1, Math.min(1, at / reach))}%`;
  const size = known ? `${(50 * Math.min(1, Math.abs(value) / reach)).toFixed(2)}%` : "0";
  const sure = Math.abs(value) >= error;
  const marks = [isTarget && "explained", isChosen && "looked at"].filter(Boolean).join(", ");
  const more = known ? `${error > 0 ? ` ± ${number(error)}` : ""}${to === null ? "" : ` to ${to}`}${sure ? "" : ", sign unsure"}` : "";
  const rest = `${more}; active ${number(activation)}`;
  return (
    <li>
      <button
        class="chip"
        data-attribute={name}
        data-target={isTarget}
        data-chosen={isChosen}
        aria-pressed={isTarget || isChosen}
        title={`${name} adds ${number(value)}${rest}. Click: where it is; Shift: look at it too`}
        tabIndex={reachable ? 0 : -1}
        onClick={(event) => (event.shiftKey ? look(name) : target(name))}
        onKeyDown={(event) => {
          if (!event.shiftKey || (event.key !== "Enter" && event.key !== " ")) return;
          look(name);
          event.preventDefault();
        }}
        onPointerEnter={(event) => moved(event) && rested(name)}
        onPointerMove={(event) => moved(event) && rested(name)}
        onFocus={() => rested(name)}
      >
        <span class="mark" aria-hidden="true">
          {isTarget ? "◎" : isChosen ? "✓" : ""}
        </span>
        <span class="name">{name}</span>
        <span class="hidden"> adds </span>
        <span class={known ? "track" : "track unknown"} aria-hidden="true">
          {known && (
            <>
              <span class={sure ? "fill" : "fill unsure"} style={{ left: value < 0 ? place(value) : "50%", width: size, backgroundColor: css(value, Math.abs(value) || 1) }} />
              {error > 0 && <span class="whisker" style={{ left: place(value - error), right: `calc(100% - ${place(value + error)})` }} />}
            </>
          )}
        </span>
        <span class="number">{number(value)}</span>
        <span class="hidden">
          {rest}
          {marks && `; ${marks}`}
        </span>
      </button>
    </li>
  );
}
