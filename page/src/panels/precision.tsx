// How exact or how quick an answer is to be.
import { State, Studio } from "../state";

type Bound = "error" | "seconds" | "budget";
const DIALS: Record<Bound, { title: string; low: number; high: number; start: number; unit: string }> = {
  error: { title: "error within", low: 0.01, high: 0.5, start: 0.1, unit: "%" },
  seconds: { title: "within", low: 0.2, high: 60, start: 2, unit: "s" },
  budget: { title: "budget", low: 16, high: 20000, start: 500, unit: "rows" },
};

const NONE = { error: null, seconds: null, budget: null };

export function Precision({ studio, state }: { studio: Studio; state: State }) {
  const precision = state.document?.query?.precision ?? NONE;
  const bound = (["error", "seconds", "budget"] as Bound[]).find((name) => precision[name] != null) ?? null;
  const dial = bound && DIALS[bound];
  const value = bound ? precision[bound]! : 0;
  const say = (name: Bound | null, given: number, moving = false) => studio.gesture({ do: "precision", ...NONE, ...(name ? { [name]: given } : {}) }, moving);
  // A slider of ratios: from 1 % to 2 % is as far as from 10 % to 20 %.
  const place = dial ? Math.log(value / dial.low) / Math.log(dial.high / dial.low) : 0;
  const valueAt = (position: number) => {
    const raw = dial!.low * (dial!.high / dial!.low) ** position;
    return bound === "budget" ? Math.round(raw) : Number(raw.toPrecision(2));
  };
  return (
    <section data-part="precision" class="strip" aria-label="Precision">
      <h2>Precision</h2>
      <select
        aria-label="Bound"
        value={bound ?? "none"}
        onChange={(event) => {
          const name = event.currentTarget.value as Bound | "none";
          if (name === "none") say(null, 0);
          else say(name, DIALS[name].start);
        }}
      >
        <option value="none">as good as is cheap</option>
        <option value="error">error within</option>
        <option value="seconds">within seconds</option>
        <option value="budget">budget of rows</option>
      </select>
      {dial && (
        <>
          <input
            type="range"
            min={0}
            max={1}
            step={0.01}
            value={place}
            aria-label={dial.title}
            aria-valuetext={`${bound === "error" ? Math.round(value * 1000) / 10 : value} ${dial.unit}`}
            onInput={(event) => say(bound, valueAt(Number(event.currentTarget.value)), true)}
            onChange={(event) => say(bound, valueAt(Number(event.currentTarget.value)))}
          />
          <output>
            {bound === "error" ? Math.round(value * 1000) / 10 : value} {dial.unit}
          </output>
        </>
      )}
    </section>
  );
}
