// The layers of the model as a strip: a slider scrubs, a Shift-click takes several.
import { useLayoutEffect, useRef } from "preact/hooks";
import { Layer, layerName } from "../protocol";
import { State, Studio } from "../state";

export function LayersStrip({ studio, state }: { studio: Studio; state: State }) {
  const ticks = useRef<HTMLDivElement>(null);
  const query = state.document?.query;
  const model = state.catalog?.models.find((entry) => entry.name === query?.models[0]);
  const layers: { layer: Layer; title: string }[] = (model?.layers ?? []).map((entry) => ({
    layer: typeof entry === "object" ? entry.index : entry,
    title: typeof entry === "object" && entry.name ? `${entry.index}: ${entry.name}` : `layer ${layerName(entry)}`,
  }));
  const newest = String(query?.layers[query.layers.length - 1] ?? "*");
  useLayoutEffect(() => {
    const [strip, tick] = [ticks.current, ticks.current?.querySelector<HTMLElement>(`[data-layer="${CSS.escape(newest)}"]`)];
    if (strip && tick) strip.scrollLeft = tick.offsetLeft - strip.offsetLeft - strip.clientWidth / 2;
  }, [newest, layers.length]);
  if (!layers.length) return null;
  layers.push({ layer: "*", title: "the output" });
  const chosen = new Set((query?.layers ?? ["*"]).map(String));
  const last = query?.layers[query.layers.length - 1] ?? "*";
  const at = Math.max(0, layers.findIndex(({ layer }) => String(layer) === String(last)));
  const toggle = (layer: Layer) => {
    const next = layers.map((entry) => entry.layer).filter((other) => (String(other) === String(layer) ? !chosen.has(String(other)) : chosen.has(String(other))));
    studio.layers(next.length ? next : ["*"]);
  };
  const often = layers.length <= 24 ? 1 : Math.ceil(layers.length / 12);
  return (
    <section data-part="layers" class="strip" aria-label="Layers">
      <h2>Layers</h2>
      <div class="scrub">
        <input
          type="range"
          min={0}
          max={layers.length - 1}
          value={at}
          aria-label="Layer"
          aria-valuetext={layers[at]?.title}
          onInput={(event) => studio.layers([layers[Number(event.currentTarget.value)].layer], true)}
          onChange={(event) => studio.layers([layers[Number(event.currentTarget.value)].layer])}
        />
        <div class="ticks" ref={ticks}>
          {layers.map(({ layer, title }, i) => (
            <button
              key={layer}
              class={i % often === 0 || layer === "*" || chosen.has(String(layer)) ? "" : "small"}
              aria-pressed={chosen.has(String(layer))}
              data-layer={layer}
              title={`${title}. Shift-click: this one too`}
              onClick={(event) => (event.shiftKey ? toggle(layer) : studio.layers([layer]))}
            >
              {i % often === 0 || layer === "*" || chosen.has(String(layer)) ? String(layer) : "·"}
            </button>
          ))}
        </div>
      </div>
    </section>
  );
}
