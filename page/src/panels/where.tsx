// A small map over its input: a picture as on the stage, the words of a text, the largest features of a table or a series.
import { useLayoutEffect, useRef } from "preact/hooks";
import { OneMap } from "../protocol";
import { css, number, unsure } from "../stage/colours";
import { greyed, paint, raster } from "../stage/paint";
import { Studio } from "../state";

const SIDE = 200;
const MOST = 6;

export function Where({ studio, map, name }: { studio: Studio; map: OneMap; name: string }) {
  const labels = studio.state.labels.get(map.labels);
  const picture = map.picture ? studio.state.pictures.get(map.picture) : undefined;
  const most = Math.max(1e-30, ...map.values.map((value) => Math.abs(value) || 0));
  const order = [...map.values.keys()].sort((a, b) => Math.abs(map.values[b]) - Math.abs(map.values[a]));
  const named = (player: number) => labels?.names?.[player] ?? `player ${player}`;
  const said = `${name} in ${map.input}, mostly at ${order.slice(0, 3).map(named).join("; ")}`;
  if (picture?.kind === "image" && labels) return <Painted studio={studio} map={map} said={said} most={most} />;
  if (picture?.tokens && labels)
    return (
      <p class="where" data-where>
        {picture.tokens.map((token, position) => {
          const player = labels.of[position];
          const value = player >= 0 ? map.values[player] : 0;
          const shaky = player >= 0 && unsure(value, map.stderr[player]);
          return (
            <span key={position} class={shaky ? "token unsure" : "token"} style={{ background: css(value, most) }} title={number(value)}>
              {token}{" "}
            </span>
          );
        })}
      </p>
    );
  return (
    <ul class="where" data-where>
      {order.slice(0, MOST).map((player) => (
        <li key={player}>
          <span class="name">{named(player)}</span> <span class="number">{number(map.values[player])}</span>
        </li>
      ))}
    </ul>
  );
}

function Painted({ studio, map, said, most }: { studio: Studio; map: OneMap; said: string; most: number }) {
  const root = useRef<HTMLCanvasElement>(null);
  const picture = studio.state.pictures.get(map.picture!)!;
  const labels = studio.state.labels.get(map.labels)!;
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const factor = SIDE / Math.max(picture.width, picture.height);
  const [width, height] = [picture.width * factor, picture.height * factor];
  useLayoutEffect(() => paint(root.current!, greyed(picture), raster(labels), map, most, false, ratio), [map]);
  return <canvas class="where" data-where ref={root} width={Math.round(width * ratio)} height={Math.round(height * ratio)} style={{ width: `${width}px`, maxWidth: "100%" }} role="img" aria-label={said} />;
}
