// A series: its channels as lines over bands of the players' colours. A drag is a span of times.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { css, unsure } from "./colours";
import { DrawMode, modeOf } from "./mode";
import { checker, hatch } from "./paint";
import { StageProps } from "./props";

const HEIGHT = 240;

export function SeriesStage({ studio, state, picture, map, scale, old }: StageProps) {
  const root = useRef<HTMLCanvasElement>(null);
  const [drag, setDrag] = useState<{ from: number; to: number; mode: DrawMode } | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const [steps, channels] = picture?.shape ?? [0, 0];
  const shapes = state.document?.query?.shapes ?? [];
  const labels = map ? (state.labels.get(map.labels) ?? null) : null;

  useLayoutEffect(() => {
    const canvas = root.current!;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.round((canvas.parentElement!.clientWidth || 400) * ratio);
    const height = HEIGHT * ratio;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d")!;
    const style = getComputedStyle(canvas);
    context.clearRect(0, 0, width, height);
    if (!steps || !picture?.series) return;
    // A signal is registered as (channels, times), a series as (times, channels); the lines come as the latter.
    const byChannel = labels !== null && labels.shape.length === 2 && labels.shape[0] === channels && labels.shape[1] === steps && channels !== steps;
    const x = (time: number) => (time / steps) * width;
    for (let channel = 0; channel < channels; channel++) {
      const [top, tall] = [(channel * height) / channels, height / channels];
      if (labels && map) {
        const of = (time: number) => labels.of[byChannel ? channel * steps + time : time * channels + channel];
        let start = 0;
        while (start < steps) {
          const player = of(start);
          let end = start + 1;
          while (end < steps && of(end) === player) end++;
          const [left, wide] = [x(start), x(end) - x(start)];
          const value = player >= 0 ? map.values[player] : 0;
          context.save();
          context.beginPath();
          context.rect(left, top, wide, tall);
          context.clip();
          context.translate(left, top);
          if (player < 0) {
            context.fillStyle = "rgba(90,90,90,.4)";
            context.fillRect(0, 0, wide, tall);
          } else if (Number.isNaN(value)) checker(context, wide, tall, 6 * ratio);
          else {
            context.fillStyle = css(value, scale, old);
            context.fillRect(0, 0, wide, tall);
            if (unsure(value, map.stderr[player])) hatch(context, wide, tall, 8 * ratio);
          }
          context.restore();
          start = end;
        }
      }
      let [low, high] = [Infinity, -Infinity];
      for (let time = 0; time < steps; time++) {
        const value = picture.series[time * channels + channel];
        [low, high] = [Math.min(low, value), Math.max(high, value)];
      }
      const y = (value: number) => top + tall * (0.9 - (0.8 * (value - low)) / (high - low || 1));
      context.lineWidth = 1.6 * ratio;
      context.strokeStyle = style.color;
      context.beginPath();
      for (let time = 0; time < steps; time++) context.lineTo(x(time + 0.5), y(picture.series[time * channels + channel]));
      context.stroke();
      if (channels > 1) {
        context.font = `${11 * ratio}px ui-sans-serif, system-ui, sans-serif`;
        context.fillStyle = style.color;
        context.fillText(picture.names?.[channel] ?? `channel ${channel}`, 6 * ratio, top + 14 * ratio);
      }
    }
    const frame = (from: number, to: number, dashed: boolean) => {
      context.setLineDash(dashed ? [6, 5] : []);
      context.lineWidth = 2 * ratio;
      context.strokeStyle = style.color;
      context.strokeRect(x(Math.min(from, to)), 1, x(Math.abs(to - from) + 1), height - 2);
      context.setLineDash([]);
    };
    if (!drag) for (const shape of shapes) if (shape.kind === "times" && shape.at) frame(shape.at[0], shape.at[1], shape.mode === "subtract");
    if (drag) frame(drag.from, drag.to, true);
    if (cursor !== null && !drag) frame(cursor, cursor, true);
  });

  const timeOf = (event: PointerEvent) => {
    const box = root.current!.getBoundingClientRect();
    return Math.max(0, Math.min(steps - 1, Math.floor(((event.clientX - box.left) / box.width) * steps)));
  };
  const say = (from: number, to: number, mode: DrawMode, moving: boolean) =>
    studio.gesture({ do: "window", shapes: [{ kind: "times", at: [Math.min(from, to), Math.max(from, to)] }], mode }, moving);
  return (
    <div class="series">
      <canvas
        ref={root}
        tabIndex={0}
        role="application"
        aria-label="Series. Arrows move a cursor, Shift with arrows selects, Enter makes it the window."
        onPointerDown={(event) => {
          if (event.button !== 0 || !steps) return;
          root.current!.setPointerCapture(event.pointerId);
          const time = timeOf(event);
          setDrag({ from: time, to: time, mode: modeOf(event) });
        }}
        onPointerMove={(event) => {
          if (!drag || event.buttons === 0) return;
          const to = timeOf(event);
          if (to === drag.to) return;
          setDrag({ ...drag, to });
          say(drag.from, to, drag.mode, true);
        }}
        onPointerUp={() => {
          if (drag && drag.from !== drag.to) say(drag.from, drag.to, drag.mode, false);
          setDrag(null);
        }}
        onKeyDown={(event) => {
          const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
          if (by) {
            const step = Math.max(1, Math.round(steps / 50));
            const next = Math.max(0, Math.min(steps - 1, (drag?.to ?? cursor ?? 0) + by * step));
            if (event.shiftKey) setDrag({ from: drag?.from ?? cursor ?? 0, to: next, mode: "replace" });
            else setDrag(null);
            setCursor(next);
          } else if (event.key === "Enter" && drag) {
            say(drag.from, drag.to, drag.mode, false);
            setDrag(null);
          } else if (event.key === "Delete" || event.key === "Backspace") studio.gesture({ do: "window", shapes: [], mode: "clear" });
          else return;
          event.preventDefault();
        }}
      />
    </div>
  );
}
