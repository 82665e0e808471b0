// The stage and what is pinned beside it: which of the frame's maps is looked at, and the drawing of its kind.
import { useLayoutEffect, useRef } from "preact/hooks";
import { OneMap, Picture, layerName, pinOf } from "../protocol";
import { State, Studio, layersOf, shown, stale } from "../state";
import { number, percent } from "./colours";
import { ImageStage } from "./image";
import { SeriesStage } from "./series";
import { TableStage } from "./table";
import { TextStage } from "./text";

export const INPUT_DRAG = "application/x-ialgebra-input";

interface Props {
  studio: Studio;
  state: State;
}

const named = (input: string | null, index: number | null | undefined) => (index === null || index === undefined ? (input ?? "") : `${input}[${index}]`);

export function Stage({ studio, state }: Props) {
  const { map, pinned, scale } = shown(state);
  const query = state.document?.query;
  const pin = pinOf(query);
  const both = pinned !== null || pin !== null || Boolean(query?.compare);
  return (
    <section class={both ? "stages both" : "stages"} aria-label="Stage">
      <Side part="stage" studio={studio} state={state} map={map} scale={scale} />
      <Side part="pinned" studio={studio} state={state} map={pinned} scale={scale} />
    </section>
  );
}

function pictureFor(state: State, map: OneMap | null): Picture | null {
  if (map?.picture) return state.pictures.get(map.picture) ?? null;
  const [input, index] = map ? [map.input, map.index] : [state.document?.query?.input, state.document?.query?.index];
  const all = [...state.pictures.values()].reverse();
  return all.find((picture) => picture.input === input && (picture.index ?? null) === (index ?? null)) ?? null;
}

function Side({ part, studio, state, map, scale }: Props & { part: "stage" | "pinned"; map: OneMap | null; scale: number }) {
  const query = state.document?.query;
  const pin = pinOf(query);
  const empty = part === "pinned" && !map && !pin && !query?.compare;
  const old = stale(state);
  const picture = empty ? null : part === "pinned" && !map ? null : pictureFor(state, map);
  const kind = map?.kind ?? picture?.kind ?? query?.kind ?? "image";
  const drop = (event: DragEvent) => {
    const dragged = event.dataTransfer?.getData(INPUT_DRAG);
    if (!dragged) return;
    event.preventDefault();
    const { input, index } = JSON.parse(dragged) as { input: string; index: number | null };
    if (part === "pinned") studio.gesture({ do: "pin", input, index });
    else if (query?.shapes.length) studio.gesture({ do: "edit", edit: "substitute", arguments: [named(input, index)], window: null });
    else studio.gesture({ do: "input", name: input, index });
  };
  const allow = (event: DragEvent) => {
    if (event.dataTransfer?.types.includes(INPUT_DRAG)) event.preventDefault();
  };
  return (
    <figure data-part={part} class={empty ? "side empty" : "side"} data-stale={old} data-kind={kind} onDragOver={allow} onDrop={drop}>
      <figcaption>
        <Caption part={part} state={state} map={map} old={old} />
        {part === "pinned" && !empty && (
          <button class="quiet" title="Take the pin away" onClick={() => (pin ? studio.gesture({ do: "pin", input: null, index: null }) : studio.gesture({ do: "compare", model: null }))}>
            ✕<span class="hidden"> unpin</span>
          </button>
        )}
      </figcaption>
      {empty ? (
        <p class="hint">Drop an input here, or press P on one in the list, to compare with it.</p>
      ) : kind === "tokens" ? (
        <TextStage studio={studio} state={state} picture={picture} map={map} scale={scale} old={old} />
      ) : kind === "table" ? (
        <TableStage studio={studio} state={state} picture={picture} map={map} scale={scale} old={old} />
      ) : kind === "series" ? (
        <SeriesStage studio={studio} state={state} picture={picture} map={map} scale={scale} old={old} />
      ) : (
        <Image part={part} studio={studio} state={state} picture={picture} map={map} scale={scale} old={old} />
      )}
      {part === "stage" && <Layers studio={studio} state={state} />}
    </figure>
  );
}

function Caption({ part, state, map, old }: { part: string; state: State; map: OneMap | null; old: boolean }) {
  const query = state.document?.query;
  const model = map?.model ?? query?.models[0] ?? "";
  const input = map ? named(map.input, map.index) : query ? named(query.input, query.index) : "";
  const target = map?.target ?? query?.target;
  if (part === "pinned" && !map) {
    const pin = pinOf(query);
    return <span>{query?.compare ? `${query.compare}(${input})` : pin ? `${model}(${named(pin.input, pin.index)})` : "pinned"}</span>;
  }
  return (
    <span class="caption">
      <b title={`${model}(${input})`}>
        {model}({input})
      </b>
      {map?.layer !== null && map?.layer !== undefined && String(map.layer) !== "*" && <span> layer {layerName(map.layer)}</span>}
      {target != null && (
        <span title={target}>
          {" "}
          for <i>{target}</i>
        </span>
      )}
      {old && <em class="old"> answers the previous question</em>}
    </span>
  );
}

/** A small map of each layer, where several are selected: a click puts it on the stage. */
function Layers({ studio, state }: Props) {
  const layers = layersOf(state.frame);
  if (layers.length < 2) return null;
  const now = String(shown(state).map?.layer ?? "*");
  return (
    <div class="tabs" role="group" aria-label="Layer on the stage">
      {layers.map((layer) => (
        <button key={layer} aria-pressed={layer === now} onClick={() => studio.set({ layer })}>
          {layer === "*" ? "output" : `layer ${layer}`}
        </button>
      ))}
    </div>
  );
}

function Image({ part, studio, state, picture, map, scale, old }: Props & { part: string; picture: Picture | null; map: OneMap | null; scale: number; old: boolean }) {
  const root = useRef<HTMLDivElement>(null);
  const stage = useRef<ImageStage | null>(null);
  const query = state.document?.query;
  useLayoutEffect(() => {
    stage.current = new ImageStage(root.current!, studio, () => Math.max(220, Math.min(620, window.innerHeight * 0.56)));
    return () => stage.current?.destroy();
  }, []);
  useLayoutEffect(() => {
    const labels = map ? (state.labels.get(map.labels) ?? null) : null;
    const look = { picture, labels, map, scale, stale: old, shapes: query?.shapes ?? [], shape: state.shape, player: state.player, tool: state.tool };
    const label = `${part === "pinned" ? "Pinned map" : "Map"}${map ? ` of ${map.model}(${map.input})` : ""}. Tab walks over tiles, Enter selects one, arrows move the window.`;
    stage.current!.update(look, label);
  });
  return <div class="image" ref={root} />;
}

/** What the colours mean, what the map sums to, how well it is known. */
export function Legend({ state }: { state: State }) {
  const { map, scale } = shown(state);
  const frame = state.frame;
  const status = state.status;
  let sum = 0;
  if (map) for (const value of map.values) if (!Number.isNaN(value)) sum += value;
  const bound = frame?.bound ?? status.error;
  const met = frame?.bound_met ?? status.bound_met;
  return (
    <div class="legend" data-part="legend">
      <span class="scale">
        <span>−{map ? number(scale) : "1"}</span>
        <span class="bar" role="img" aria-label="blue against, grey zero, orange for" />
        <span>+{map ? number(scale) : "1"}</span>
      </span>
      <span class="swatch sure">sign unsure</span>
      <span class="swatch unknown">unknown</span>
      {map && (
        <span title="The values of all players together: f with all of them minus f with none">
          sum <b>{number(sum)}</b>
        </span>
      )}
      {bound != null && Number.isFinite(bound) && (
        <span title="At 95 %: how far the map may be from the exact one, relative to its size">
          ±<b>{percent(bound)}</b>
          {status.asked != null && <em class={met ? "met" : "unmet"}>{met ? ` within ${percent(status.asked)}` : ` asked ${percent(status.asked)}`}</em>}
        </span>
      )}
    </div>
  );
}
