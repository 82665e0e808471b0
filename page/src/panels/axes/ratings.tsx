// What every model says of the input where the sliders are, with its picture; and of the end point that was pinned.
import { ScoreRow } from "../../protocol";
import { number, percent } from "../../stage/colours";
import { Thumb } from "../../state";
import { ThumbCanvas } from "../thumb";

export interface Rated {
  rows: ScoreRow[];
  failed: Record<string, string>;
  swept: boolean;
  thumb: Thumb | undefined;
}

interface Props {
  rated: Rated | null;
  end: Rated | null;
  watched: string | null;
  problem: string;
}

const FEW = 3;

export function Ratings({ rated, end, watched, problem }: Props) {
  return (
    <div class="ratings" data-models={rated?.rows.length ?? 0} data-problem={problem}>
      <div class="pictures">
        <figure>
          <ThumbCanvas thumb={rated?.thumb} size={112} />
          <figcaption>now</figcaption>
        </figure>
        {end && (
          <figure>
            <ThumbCanvas thumb={end.thumb} size={112} />
            <figcaption>pinned</figcaption>
          </figure>
        )}
      </div>
      {problem && <p class="hint">{problem.split("\n")[0]}</p>}
      {rated?.swept && <p class="hint">A sweep: these are the ratings of its first step.</p>}
      <div class="raters">
        {rated?.rows.map((row) => <Rater key={row.model} row={row} end={end?.rows.find((other) => other.model === row.model)} watched={watched} />)}
      </div>
      {Object.entries(rated?.failed ?? {}).map(([model, why]) => (
        <p class="hint" key={model} data-failed={model} title={why}>
          {model} does not take such inputs.
        </p>
      ))}
    </div>
  );
}

function Rater({ row, end, watched }: { row: ScoreRow; end: ScoreRow | undefined; watched: string | null }) {
  const order = row.classes.map((_, i) => i).sort((a, b) => row.probabilities[b] - row.probabilities[a]);
  const some = order.slice(0, FEW);
  const place = watched === null ? -1 : row.classes.indexOf(watched);
  if (place >= 0 && !some.includes(place)) some.push(place);
  const most = Math.max(...row.probabilities.map(Math.abs), 1e-9);
  const said = (value: number) => (row.raw ? number(value) : percent(value));
  return (
    <section class="rater" data-model={row.model} data-prediction={row.prediction} data-top={row.probabilities[order[0]]}>
      <h3>
        {row.model} <b>{row.prediction}</b>
      </h3>
      <ul class="bars">
        {some.map((i) => {
          const before = end ? end.probabilities[end.classes.indexOf(row.classes[i])] : undefined;
          return (
            <li key={row.classes[i]} data-watched={row.classes[i] === watched}>
              <span class="fill" style={{ width: `${(100 * Math.abs(row.probabilities[i])) / (row.raw ? most : 1)}%` }} />
              <span class="name">{row.classes[i]}</span>
              <span class="number">
                {end && <i>{before === undefined ? "–" : said(before)} → </i>}
                {said(row.probabilities[i])}
              </span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
