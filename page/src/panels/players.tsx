// The map as a table of numbers, for screen readers.
import { OneMap } from "../protocol";
import { State, shown } from "../state";
import { number } from "../stage/colours";

const MOST = 256;

function nameOf(state: State, map: OneMap, player: number): string {
  const labels = state.labels.get(map.labels);
  const given = labels?.names?.[player];
  if (given) return given;
  if (!labels) return `player ${player + 1}`;
  const features: number[] = [];
  for (let i = 0; i < labels.of.length && features.length < 2; i++) if (labels.of[i] === player) features.push(i);
  const picture = map.picture ? state.pictures.get(map.picture) : undefined;
  if (picture?.tokens && features.length) return `“${picture.tokens[features[0]].trim()}”`;
  if (picture?.columns && features.length) return picture.columns[features[0]]?.name ?? `player ${player + 1}`;
  if (map.kind === "image" && features.length) {
    const width = labels.shape[labels.shape.length - 1];
    return `tile ${player + 1}, from row ${Math.floor(features[0] / width)}, column ${features[0] % width}`;
  }
  return `player ${player + 1}`;
}

export function Players({ state }: { state: State }) {
  const { map } = shown(state);
  const order = map ? Array.from(map.values.keys()).slice(0, MOST) : [];
  return (
    <div data-part="players" class="hidden">
      <table>
        <caption>{map ? `Players of ${map.model}(${map.input})${map.target ? ` for ${map.target}` : ""}` : "No map yet"}</caption>
        <thead>
          <tr>
            <th scope="col">player</th>
            <th scope="col">value</th>
            <th scope="col">± at 95 %</th>
            <th scope="col">sign</th>
          </tr>
        </thead>
        <tbody>
          {map &&
            order.map((player) => {
              const [value, error] = [map.values[player], 1.96 * map.stderr[player]];
              const sign = Number.isNaN(value) ? "unknown" : Math.abs(value) < error ? "not sure" : value > 0 ? "for" : value < 0 ? "against" : "none";
              return (
                <tr key={player}>
                  <th scope="row">{nameOf(state, map, player)}</th>
                  <td>{number(value)}</td>
                  <td>{number(error)}</td>
                  <td>{sign}</td>
                </tr>
              );
            })}
        </tbody>
      </table>
      {map && map.values.length > MOST && <p>{map.values.length - MOST} players are left out.</p>}
    </div>
  );
}
