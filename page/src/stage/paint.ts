// Draws one map over its picture: the picture in grey, a colour a player, hatching where the sign is not sure, a grey checker where
// nothing is known, dark outside the window. In: arrays. Out: pixels. Knows no pointer and no state.
import { Labels, OneMap, Picture } from "../protocol";
import { AGAINST, FOR, cover, faded, unsure } from "./colours";

/** A player of each pixel, row by row; −1 outside the window. */
export interface Raster {
  width: number;
  height: number;
  of: Int32Array;
}

export function raster(labels: Labels): Raster {
  const [height, width] = labels.shape.slice(-2);
  return { width, height, of: labels.of.subarray(0, height * width) };
}

function canvas(width: number, height: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const made = document.createElement("canvas");
  made.width = Math.max(1, width);
  made.height = Math.max(1, height);
  return [made, made.getContext("2d")!];
}

/** The picture in grey between two bounds, so that orange and blue stay apart from it on black and on white pictures alike. */
export function greyed(picture: Picture, darkest = 88, lightest = 196): HTMLCanvasElement {
  const [made, context] = canvas(picture.width, picture.height);
  const image = context.createImageData(made.width, made.height);
  const rgb = picture.rgb ?? new Uint8Array(made.width * made.height * 3).fill(128);
  for (let i = 0, j = 0; i < image.data.length; i += 4, j += 3) {
    const light = 0.299 * rgb[j] + 0.587 * rgb[j + 1] + 0.114 * rgb[j + 2];
    image.data[i] = image.data[i + 1] = image.data[i + 2] = darkest + (light / 255) * (lightest - darkest);
    image.data[i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return made;
}

export function coloured(width: number, height: number, rgb: Uint8Array): HTMLCanvasElement {
  const [made, context] = canvas(width, height);
  const image = context.createImageData(width, height);
  for (let i = 0, j = 0; i < image.data.length; i += 4, j += 3) {
    image.data[i] = rgb[j];
    image.data[i + 1] = rgb[j + 1];
    image.data[i + 2] = rgb[j + 2];
    image.data[i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return made;
}

type Painted = { heat: HTMLCanvasElement; hatched: HTMLCanvasElement | null; unknown: HTMLCanvasElement | null };

function painted(where: Raster, map: OneMap, scale: number, stale: boolean): Painted {
  const [heat, heatContext] = canvas(where.width, where.height);
  const [hatched, hatchedContext] = canvas(where.width, where.height);
  const [unknown, unknownContext] = canvas(where.width, where.height);
  const images = [heatContext, hatchedContext, unknownContext].map((context) => context.createImageData(where.width, where.height));
  const [heatImage, hatchedImage, unknownImage] = images;
  const [positive, negative] = stale ? [faded(FOR), faded(AGAINST)] : [FOR, AGAINST];
  let [hatches, unknowns] = [false, false];
  for (let pixel = 0; pixel < where.of.length; pixel++) {
    const player = where.of[pixel];
    const i = 4 * pixel;
    if (player < 0) {
      heatImage.data[i + 3] = 120;
      continue;
    }
    const value = map.values[player];
    if (value === undefined || Number.isNaN(value)) {
      unknownImage.data[i + 3] = 255;
      unknowns = true;
      continue;
    }
    const [r, g, b] = value >= 0 ? positive : negative;
    heatImage.data[i] = r;
    heatImage.data[i + 1] = g;
    heatImage.data[i + 2] = b;
    heatImage.data[i + 3] = 255 * cover(value, scale);
    if (unsure(value, map.stderr[player])) {
      hatchedImage.data[i + 3] = 255;
      hatches = true;
    }
  }
  heatContext.putImageData(heatImage, 0, 0);
  hatchedContext.putImageData(hatchedImage, 0, 0);
  unknownContext.putImageData(unknownImage, 0, 0);
  return { heat, hatched: hatches ? hatched : null, unknown: unknowns ? unknown : null };
}

/** A pattern of the screen, kept where the mask is opaque. */
function masked(
  context: CanvasRenderingContext2D,
  mask: HTMLCanvasElement,
  width: number,
  height: number,
  draw: (context: CanvasRenderingContext2D) => void,
): void {
  const [layer, layerContext] = canvas(width, height);
  draw(layerContext);
  layerContext.globalCompositeOperation = "destination-in";
  layerContext.imageSmoothingEnabled = false;
  layerContext.drawImage(mask, 0, 0, width, height);
  context.drawImage(layer, 0, 0);
}

export function hatch(context: CanvasRenderingContext2D, width: number, height: number, step: number): void {
  context.lineWidth = Math.max(1, step / 8);
  for (const [colour, shift] of [["rgba(255,255,255,.55)", 0], ["rgba(0,0,0,.42)", context.lineWidth]] as [string, number][]) {
    context.strokeStyle = colour;
    context.beginPath();
    for (let x = -height; x < width; x += step) {
      context.moveTo(x + shift, height);
      context.lineTo(x + height + shift, 0);
    }
    context.stroke();
  }
}

export function checker(context: CanvasRenderingContext2D, width: number, height: number, step: number): void {
  context.fillStyle = "rgb(150,150,150)";
  context.fillRect(0, 0, width, height);
  context.fillStyle = "rgb(112,112,112)";
  for (let y = 0, row = 0; y < height; y += step, row++)
    for (let x = (row % 2) * step; x < width; x += 2 * step) context.fillRect(x, y, step, step);
}

/** The lines between players, in the raster's pixels; of one player alone where it is given. */
export function borders(where: Raster, player: number | null = null): Path2D {
  const path = new Path2D();
  const { width, height, of } = where;
  const differ = (a: number, b: number) => (player === null ? a !== b : (a === player) !== (b === player));
  for (let y = 0; y < height; y++)
    for (let x = 0; x <= width; x++) {
      const [left, right] = [x > 0 ? of[y * width + x - 1] : -1, x < width ? of[y * width + x] : -1];
      if (!differ(left, right)) continue;
      let end = y + 1;
      if (y > 0 && differ(x > 0 ? of[(y - 1) * width + x - 1] : -1, x < width ? of[(y - 1) * width + x] : -1)) continue;
      while (end < height && differ(x > 0 ? of[end * width + x - 1] : -1, x < width ? of[end * width + x] : -1)) end++;
      path.moveTo(x, y);
      path.lineTo(x, end);
    }
  for (let x = 0; x < width; x++)
    for (let y = 0; y <= height; y++) {
      const at = (column: number) => [y > 0 ? of[(y - 1) * width + column] : -1, y < height ? of[y * width + column] : -1] as const;
      if (!differ(...at(x)) || (x > 0 && differ(...at(x - 1)))) continue;
      let end = x + 1;
      while (end < width && differ(...at(end))) end++;
      path.moveTo(x, y);
      path.lineTo(end, y);
    }
  return path;
}

/** Draws all into a canvas whose pixels are those of the device. `ratio`: device pixels a CSS pixel. */
export function paint(
  target: HTMLCanvasElement,
  picture: HTMLCanvasElement | null,
  where: Raster | null,
  map: OneMap | null,
  scale: number,
  stale: boolean,
  ratio: number,
): void {
  const context = target.getContext("2d")!;
  const { width, height } = target;
  context.clearRect(0, 0, width, height);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  if (picture) {
    context.imageSmoothingEnabled = picture.width > 48;
    context.drawImage(picture, 0, 0, width, height);
  }
  if (!where || !map) return;
  const { heat, hatched, unknown } = painted(where, map, scale, stale);
  context.imageSmoothingEnabled = false;
  context.drawImage(heat, 0, 0, width, height);
  if (hatched) masked(context, hatched, width, height, (layer) => hatch(layer, width, height, Math.round(9 * ratio)));
  if (unknown) masked(context, unknown, width, height, (layer) => checker(layer, width, height, Math.round(5 * ratio)));
}
