// A text: a colour a token, hatched underline where the sign is not sure. A drag over tokens is a span of positions.
import { useRef, useState } from "preact/hooks";
import { Shape } from "../protocol";
import { css, number, unsure } from "./colours";
import { DrawMode, modeOf } from "./mode";
import { StageProps } from "./props";

const covers = ({ kind, at }: Shape, position: number) => kind === "span" && at !== undefined && position >= at[0] && position <= at[1];

const inside = (shapes: Shape[], position: number) =>
  shapes.some((shape) => shape.mode !== "subtract" && covers(shape, position)) &&
  !shapes.some((shape) => shape.mode === "subtract" && covers(shape, position));

export function TextStage({ studio, state, picture, map, scale, old }: StageProps) {
  const [drag, setDrag] = useState<{ from: number; to: number; mode: DrawMode } | null>(null);
  const root = useRef<HTMLDivElement>(null);
  const tokens = picture?.tokens ?? [];
  const labels = map ? state.labels.get(map.labels) : undefined;
  const shapes = state.document?.query?.shapes ?? [];
  const span = drag && [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
  const say = (from: number, to: number, mode: DrawMode, moving: boolean) =>
    studio.gesture({ do: "window", shapes: [{ kind: "span", at: [Math.min(from, to), Math.max(from, to)] }], mode }, moving);
  const positionOf = (event: Event) => {
    const found = (event.target as HTMLElement).closest<HTMLElement>("[data-position]");
    return found ? Number(found.dataset.position) : null;
  };
  const focus = (position: number) => root.current?.querySelector<HTMLElement>(`[data-position="${position}"]`)?.focus();
  const key = (event: KeyboardEvent) => {
    const position = positionOf(event);
    if (position === null) return;
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const next = Math.max(0, Math.min(tokens.length - 1, position + (event.key === "ArrowRight" ? 1 : -1)));
      focus(next);
      if (event.shiftKey) {
        const from = drag?.from ?? position;
        setDrag({ from, to: next, mode: "replace" });
      } else setDrag(null);
    } else if (event.key === "Enter" || event.key === " ") {
      if (drag) say(drag.from, drag.to, "replace", false);
      else say(position, position, modeOf(event), false);
      setDrag(null);
    } else if (event.key === "Delete" || event.key === "Backspace") studio.gesture({ do: "window", shapes: [], mode: "clear" });
    else return;
    event.preventDefault();
  };
  return (
    <div
      class="tokens"
      ref={root}
      role="group"
      aria-label="Text. Arrows walk over tokens, Shift with arrows selects, Enter makes it the window."
      onKeyDown={key}
      onPointerDown={(event) => {
        const position = positionOf(event);
        if (position === null || event.button !== 0) return;
        setDrag({ from: position, to: position, mode: modeOf(event) });
        event.preventDefault();
        focus(position);
      }}
      onPointerMove={(event) => {
        const over = document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-position]");
        if (!drag || event.buttons === 0 || !over) return;
        const to = Number(over.dataset.position);
        if (to === drag.to) return;
        setDrag({ ...drag, to });
        say(drag.from, to, drag.mode, true);
      }}
      onPointerUp={() => {
        if (!drag) return;
        say(drag.from, drag.to, drag.mode, false);
        setDrag(null);
      }}
    >
      {tokens.map((token, position) => {
        const player = labels?.of[position] ?? -1;
        const value = map && player >= 0 ? map.values[player] : null;
        const known = value !== null && value !== undefined && !Number.isNaN(value);
        const shaded = known ? css(value, scale, old) : undefined;
        const error = known ? map!.stderr[player] : 0;
        const outside = map !== null && player < 0;
        const classes = [
          "token",
          outside && "outside",
          known && unsure(value, error) && "unsure",
          map && player >= 0 && !known && "unknown",
          inside(shapes, position) && "inside",
          span && position >= span[0] && position <= span[1] && "drawn",
        ];
        const said = known ? `${number(value)} ± ${number(1.96 * error)}` : outside ? "outside the window" : "unknown";
        return (
          <span
            key={position}
            class={classes.filter(Boolean).join(" ")}
            style={{ backgroundColor: shaded }}
            data-position={position}
            tabIndex={position === 0 ? 0 : -1}
            role="button"
            aria-label={`${token.trim() || "blank"}: ${said}`}
            title={said}
          >
            {token}
          </span>
        );
      })}
    </div>
  );
}
