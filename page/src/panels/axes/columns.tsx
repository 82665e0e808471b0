// Levels of the code from other inputs: a column a level, a row a source, and how far each source's levels go there.
import { Gesture, QueryCodes } from "../../protocol";
import { Studio } from "../../state";
import { ThumbCanvas } from "../thumb";
import { Generator } from "../axes";

interface Props {
  studio: Studio;
  generator: Generator;
  codes: QueryCodes;
  input: string;
  drawn: { generator?: string };
  rate(gesture: Gesture | null): void;
}

const MOST = 12; // sources that are offered without being asked for
const WIDE = 24; // levels of one table

export function Columns({ studio, generator, codes, input, drawn, rate }: Props) {
  const levels = Array.from({ length: Math.min(generator.levels, WIDE) }, (_, i) => i + 1);
  const used = new Map(codes.mixes.map((mix) => [mix.source, mix]));
  const sources = [...new Set([...used.keys(), ...generator.sources.filter((name) => name !== input).slice(0, MOST)])];
  if (!sources.length) return null;
  const sourceOf = (level: number) => codes.mixes.find((mix) => !mix.levels.length || mix.levels.includes(level))?.source ?? null;
  return (
    <details class="columns" data-part="columns" open={codes.mixes.length > 0}>
      <summary>mix levels of other inputs</summary>
      <div class="wide">
        <table>
          <thead>
            <tr>
              <th scope="col">level</th>
              {levels.map((level) => (
                <th key={level} scope="col">
                  {level}
                </th>
              ))}
              <th scope="col">how far</th>
            </tr>
          </thead>
          <tbody>
            {[null, ...sources].map((source) => (
              <tr key={source ?? ""}>
                <th scope="row">
                  {source !== null && <ThumbCanvas thumb={studio.state.thumbnails.get(source)?.get(0)} size={24} />}
                  <span class="name">{source ?? `its own (${input})`}</span>
                </th>
                {levels.map((level) => (
                  <td key={level}>
                    <input
                      type="radio"
                      name={`ialgebra-level-${level}`}
                      data-level={level}
                      data-source={source ?? ""}
                      aria-label={`level ${level} from ${source ?? "the input itself"}`}
                      checked={sourceOf(level) === source}
                      onChange={() => studio.gesture({ do: "mix", level, source, ...drawn })}
                    />
                  </td>
                ))}
                <td>
                  {source !== null && used.has(source) && typeof used.get(source)!.p === "number" && (
                    <input
                      type="range"
                      min={0}
                      max={1}
                      step={0.05}
                      value={used.get(source)!.p as number}
                      aria-label={`how far towards ${source}`}
                      data-share={source}
                      onInput={(event) => rate({ do: "mix", source, p: Number(event.currentTarget.value) })}
                      onChange={(event) => studio.gesture({ do: "mix", source, p: Number(event.currentTarget.value) })}
                    />
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
