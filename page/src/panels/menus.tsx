// The history as a tree of steps, and what can be taken away.
import { useEffect, useRef } from "preact/hooks";
import { Step } from "../protocol";
import { State, Studio } from "../state";

interface Props {
  studio: Studio;
  state: State;
}

/** A menu that closes on Esc, on a choice and on a click elsewhere. */
function Menu({ title, part, children }: { title: string; part: string; children: preact.ComponentChildren }) {
  const root = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const away = (event: Event) => {
      if (root.current?.open && !event.composedPath().includes(root.current)) root.current.open = false;
    };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, []);
  return (
    <details
      class="menu"
      data-part={part}
      ref={root}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !root.current?.open) return;
        root.current.open = false;
        root.current.querySelector("summary")?.focus();
        event.stopPropagation();
      }}
    >
      <summary>{title}</summary>
      <div class="popup">{children}</div>
    </details>
  );
}

/** Steps in the order of a walk through the tree; a branch is set in. */
function walk(steps: Step[]): { step: Step; inset: number }[] {
  const children = new Map<number | null, Step[]>();
  for (const step of steps) children.set(step.parent, [...(children.get(step.parent) ?? []), step]);
  const found: { step: Step; inset: number }[] = [];
  const pending: { step: Step; inset: number }[] = (children.get(null) ?? []).map((step) => ({ step, inset: 0 })).reverse();
  while (pending.length) {
    const one = pending.pop()!;
    found.push(one);
    const after = children.get(one.step.n) ?? [];
    after.forEach((step, i) => pending.push({ step, inset: one.inset + (i < after.length - 1 ? 1 : 0) }));
    const added = pending.splice(pending.length - after.length);
    pending.push(...added);
  }
  return found;
}

export function History({ studio, state }: Props) {
  const now = state.document;
  return (
    <Menu title="history ▾" part="history">
      <ol class="steps">
        {walk(now?.steps ?? []).map(({ step, inset }) => (
          <li key={step.n} style={{ marginLeft: `${12 * inset}px` }}>
            <button class="pick" aria-current={step.n === now?.step ? "step" : undefined} data-step={step.n} title={step.text} onClick={() => studio.goto(step.n)}>
              <span class="label">{step.label || "query"}</span>
              <code>{step.text}</code>
            </button>
          </li>
        ))}
      </ol>
    </Menu>
  );
}

export function Share({ studio, state }: Props) {
  const generators = state.catalog?.panels?.find((panel) => panel.name === "axes")?.generators as unknown[] | undefined;
  const save = async (kind: "sql" | "py" | "html" | "axes") => {
    try {
      const { name, href } = await studio.share(kind);
      const link = document.createElement("a");
      link.href = href;
      link.download = name;
      link.click();
    } catch (error) {
      studio.set({ notice: String((error as Error).message) });
    }
  };
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      studio.set({ notice: "The address of this query is copied." });
    } catch {
      studio.set({ notice: "The browser did not allow copying. The address bar holds this query." });
    }
  };
  return (
    <Menu title="share ▾" part="share">
      <ul class="choices">
        <li>
          <button class="pick" data-share="sql" onClick={() => void save("sql")}>
            script.sql <small>the history, a statement a step</small>
          </button>
        </li>
        <li>
          <button class="pick" data-share="py" onClick={() => void save("py")}>
            analysis.zip <small>the same in Python, with what it needs</small>
          </button>
        </li>
        <li>
          <button class="pick" data-share="html" onClick={() => void save("html")}>
            page.html <small>this map, one file without a server</small>
          </button>
        </li>
        {!!generators?.length && (
          <li>
            <button class="pick" data-share="axes" onClick={() => void save("axes")}>
              explored.html <small>this input along every axis, with all ratings</small>
            </button>
          </li>
        )}
        {studio.model.address && (
          <li>
            <button class="pick" data-share="link" onClick={() => void copy()}>
              copy the address <small>it holds the query</small>
            </button>
          </li>
        )}
      </ul>
    </Menu>
  );
}
