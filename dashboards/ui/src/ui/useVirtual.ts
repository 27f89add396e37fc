// Draws of a long list only what one looks at. Rows may grow (a log line that is opened) and are then measured.
import { useCallback, useEffect, useMemo, useRef, useState, type RefObject } from 'react';

export interface VirtualItem {
  index: number;
  /** Distance of its upper edge from the list's, in pixels. */
  start: number;
}

interface Options {
  count: number;
  rowPx: number;
  box: RefObject<HTMLElement | null>;
  /** Names a row over changes of the list; needed where rows are measured. */
  keyOf?: (index: number) => string;
}

interface Virtual {
  items: VirtualItem[];
  totalPx: number;
  /** Whether the list is scrolled away from its top. */
  scrolled: boolean;
  /** Told each row's element as it is drawn. */
  measure: (index: number, element: HTMLElement) => void;
}

/** Rows drawn beyond either edge, so that fast scrolling shows no holes. */
const OVERSCAN = 15;

export function useVirtual({ count, rowPx, box, keyOf }: Options): Virtual {
  const [view, setView] = useState({ top: 0, height: 800 });
  const [version, setVersion] = useState(0);
  // Only rows that differ from the usual height.
  const heights = useRef(new Map<string, number>());

  useEffect(() => {
    const element = box.current;
    if (!element || count === 0) return;
    const look = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener('scroll', look, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', look);
    };
  }, [box, count === 0]);

  /** Upper edges of all rows and, last, the whole height. */
  const edges = useMemo(() => {
    const list = new Float64Array(count + 1);
    for (let at = 0; at < count; at += 1) {
      list[at + 1] = (list[at] ?? 0) + ((keyOf && heights.current.get(keyOf(at))) ?? rowPx);
    }
    return list;
    // A new version means that a height in the map has changed.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [count, rowPx, keyOf, version]);

  const first = Math.max(0, rowAt(edges, view.top) - OVERSCAN);
  const last = Math.min(count, rowAt(edges, view.top + view.height) + 1 + OVERSCAN);
  const items = useMemo(
    () => Array.from({ length: Math.max(0, last - first) }, (_, at) => ({ index: first + at, start: edges[first + at] ?? 0 })),
    [first, last, edges],
  );

  const measure = useCallback(
    (index: number, element: HTMLElement) => {
      if (!keyOf) return;
      const key = keyOf(index);
      const height = element.offsetHeight;
      if (height === 0 || height === (heights.current.get(key) ?? rowPx)) return;
      heights.current.set(key, height);
      setVersion((before) => before + 1);
    },
    [keyOf, rowPx],
  );

  return { items, totalPx: edges[count] ?? 0, scrolled: view.top > 0, measure };
}

/** The row that a distance from the top falls into. */
export function rowAt(edges: Float64Array, px: number): number {
  let low = 0;
  let high = Math.max(0, edges.length - 2);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((edges[middle] ?? 0) <= px) low = middle;
    else high = middle - 1;
  }
  return low;
}
