// A grid of many cells of one size: only the rows that are seen are in the page. The others are asked for when they come near.
import { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

interface Props {
  count: number;
  width: number;
  height: number;
  most: number;
  label: string;
  render(index: number): ComponentChildren;
  needed?(from: number, to: number): void;
}

export function VirtualGrid({ count, width, height, most, label, render, needed }: Props) {
  const root = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, columns: 4, tall: most });
  const look = () => {
    const element = root.current;
    if (!element) return;
    const columns = Math.max(1, Math.floor(element.clientWidth / width));
    const next = { top: element.scrollTop, columns, tall: element.clientHeight || most };
    setView((before) => (before.top === next.top && before.columns === next.columns && before.tall === next.tall ? before : next));
  };
  useLayoutEffect(() => {
    const observer = new ResizeObserver(look);
    observer.observe(root.current!);
    return () => observer.disconnect();
  }, []);
  const rows = Math.ceil(count / view.columns);
  const first = Math.max(0, Math.floor(view.top / height) - 1);
  const last = Math.min(rows, Math.ceil((view.top + view.tall) / height) + 1);
  const [from, to] = [first * view.columns, Math.min(count, last * view.columns)];
  useEffect(() => {
    if (to > from) needed?.(from, to);
  }, [from, to, count]);
  const cells = [];
  for (let index = from; index < to; index++)
    cells.push(
      <div
        key={index}
        class="cell"
        role="listitem"
        style={{ left: `${(index % view.columns) * width}px`, top: `${Math.floor(index / view.columns) * height}px`, width: `${width}px`, height: `${height}px` }}
      >
        {render(index)}
      </div>,
    );
  return (
    <div class="virtual" ref={root} onScroll={look} style={{ maxHeight: `${most}px` }} tabIndex={rows * height > most ? 0 : -1} role="list" aria-label={label}>
      <div style={{ height: `${rows * height}px` }}>{cells}</div>
    </div>
  );
}
