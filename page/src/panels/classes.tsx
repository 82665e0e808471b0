// The probabilities of classes as bars, by model. A click makes one the target; a search finds others among thousands.
import { useEffect, useState } from "preact/hooks";
import { State, Studio } from "../state";
import { number, percent } from "../stage/colours";

const MOST = 8;

export function Classes({ studio, state }: { studio: Studio; state: State }) {
  const query = state.document?.query;
  const model = query?.models[0];
  const classes = state.catalog?.models.find((entry) => entry.name === model)?.classes ?? 0;
  const [find, setFind] = useState("");
  const [found, setFound] = useState<string[]>([]);
  useEffect(() => {
    if (!find || !model) return setFound([]);
    let current = true;
    const timer = setTimeout(() => void studio.classes(model, find).then((names) => current && setFound(names), () => undefined), 120);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [find, model]);
  const target = query?.target ?? null;
  const choose = (name: string) => studio.gesture({ do: "target", class: name === target ? null : name });
  const models = [...new Set(state.scores.map((row) => row.model))];
  return (
    <section data-part="classes" aria-label="Classes">
      <h2>Classes</h2>
      {models.map((name) => {
        const rows = state.scores.filter((row) => row.model === name);
        const row = rows[0];
        if (!row) return null;
        const order = row.classes.map((_, i) => i).sort((a, b) => row.probabilities[b] - row.probabilities[a]);
        const top = order.slice(0, MOST);
        for (const i of order.slice(MOST)) if (row.classes[i] === target) top.push(i);
        const most = Math.max(...row.probabilities.map(Math.abs), 1e-9);
        return (
          <div class="model" key={name}>
            {models.length > 1 && <h3>{name}</h3>}
            <ul class="bars">
              {top.map((i) => (
                <li key={row.classes[i]}>
                  <button
                    class="bar"
                    aria-pressed={row.classes[i] === target}
                    data-class={row.classes[i]}
                    title={`${row.classes[i]}: explain this class${row.classes[i] === target ? " no longer" : ""}`}
                    onClick={() => choose(row.classes[i])}
                  >
                    <span class="fill" style={{ width: `${(100 * Math.abs(row.probabilities[i])) / (row.raw ? most : 1)}%` }} />
                    <span class="name">{row.classes[i]}</span>
                    <span class="number">{row.raw ? number(row.probabilities[i]) : percent(row.probabilities[i])}</span>
                  </button>
                </li>
              ))}
            </ul>
          </div>
        );
      })}
      {classes > MOST && (
        <div class="search">
          <input type="search" placeholder={`find among ${classes.toLocaleString("en")} classes`} aria-label="Find a class" value={find} onInput={(event) => setFind(event.currentTarget.value)} />
          {find && (
            <ul class="found" aria-label="Classes found">
              {found.map((name) => (
                <li key={name}>
                  <button
                    class="pick"
                    title={name}
                    onClick={() => {
                      choose(name);
                      setFind("");
                    }}
                  >
                    <span class="name">{name}</span>
                  </button>
                </li>
              ))}
              {!found.length && <li class="hint">no class has “{find}” in its name</li>}
            </ul>
          )}
        </div>
      )}
    </section>
  );
}
