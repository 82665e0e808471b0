// A small picture on a canvas, with a map over it where there is one.
import { useLayoutEffect, useRef } from "preact/hooks";
import { Thumb } from "../state";
import { AGAINST, FOR, cover } from "../stage/colours";
import { coloured, greyed } from "../stage/paint";

interface Props {
  thumb: Thumb | undefined;
  size: number;
  heat?: Float32Array;
  rows?: number;
  columns?: number;
  scale?: number;
}

export function ThumbCanvas({ thumb, size, heat, rows = 0, columns = 0, scale = 1 }: Props) {
  const root = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const canvas = root.current;
    if (!canvas) return;
    const context = canvas.getContext("2d")!;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const picture = thumb?.rgb && { key: "", kind: "image" as const, input: "", index: null, width: thumb.width, height: thumb.height, rgb: thumb.rgb };
    if (picture && thumb) {
      const drawn = heat ? greyed(picture) : coloured(thumb.width, thumb.height, thumb.rgb!);
      context.imageSmoothingEnabled = thumb.width > 24;
      const factor = Math.min(canvas.width / thumb.width, canvas.height / thumb.height);
      const [width, height] = [thumb.width * factor, thumb.height * factor];
      const [left, top] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
      context.drawImage(drawn, left, top, width, height);
      if (heat) drawHeat(context, heat, rows, columns, scale, left, top, width, height);
    } else if (heat) drawHeat(context, heat, rows, columns, scale, 0, 0, canvas.width, canvas.height);
  });
  if (thumb && !thumb.rgb && !heat)
    return (
      <span class="thumb text" style={{ width: `${size}px`, height: `${size}px` }} aria-hidden="true">
        {(thumb.text ?? "").slice(0, 24)}
      </span>
    );
  return <canvas class="thumb" ref={root} width={2 * size} height={2 * size} style={{ width: `${size}px`, height: `${size}px` }} aria-hidden="true" />;
}

function drawHeat(
  context: CanvasRenderingContext2D,
  heat: Float32Array,
  rows: number,
  columns: number,
  scale: number,
  left: number,
  top: number,
  width: number,
  height: number,
): void {
  const [w, h] = [width / columns, height / rows];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const value = heat[row * columns + column];
      const [r, g, b] = value >= 0 ? FOR : AGAINST;
      context.fillStyle = Number.isNaN(value) ? "rgb(130,130,130)" : `rgba(${r},${g},${b},${cover(value, scale)})`;
      context.fillRect(left + column * w, top + row * h, Math.ceil(w), Math.ceil(h));
    }
}
