// What a value looks like: orange for, blue against, nothing for zero; read by people of any colour vision, on grey.

export type Colour = [number, number, number];
export const FOR: Colour = [222, 92, 8];
export const AGAINST: Colour = [20, 104, 190];
const MOST = 0.86;

/** How strongly a value covers the grey picture: 0 for zero, so that zero stays the picture itself. */
export function cover(value: number, scale: number): number {
  return MOST * Math.min(1, Math.abs(value) / (scale || 1)) ** 0.8;
}

export const unsure = (value: number, stderr: number): boolean => Math.abs(value) < 1.96 * stderr;

export function css(value: number, scale: number, stale = false): string {
  const [r, g, b] = stale ? faded(value >= 0 ? FOR : AGAINST) : value >= 0 ? FOR : AGAINST;
  return `rgba(${r}, ${g}, ${b}, ${cover(value, scale).toFixed(3)})`;
}

export function faded([r, g, b]: Colour): Colour {
  const grey = 0.3 * r + 0.59 * g + 0.11 * b;
  return [r, g, b].map((part) => Math.round(0.3 * part + 0.7 * grey)) as Colour;
}

/** Three digits, a true minus, no exponent where it can be helped. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "unknown";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1000 || size < 0.001 ? size.toExponential(1) : size.toPrecision(3);
  return (value < 0 ? "−" : "") + text;
}

export const percent = (value: number): string =>
  value >= 0.9995 ? `${Math.round(100 * value)} %` : value >= 0.1 ? `${(100 * value).toFixed(1)} %` : value >= 0.0005 ? `${(100 * value).toFixed(2)} %` : "< 0.05 %";
