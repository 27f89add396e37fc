// The server's event stream, shared by all parts of the page.
import { useEffect, useRef } from 'react';

type Kind = 'decision' | 'alert' | 'change' | 'services';
type Handler = (data: unknown) => void;

const handlers: Record<Kind, Set<Handler>> = { decision: new Set(), alert: new Set(), change: new Set(), services: new Set() };
let source: EventSource | null = null;

/** Bursts of events within this time lead to one reload. */
const SETTLE_MS = 400;

function open() {
  if (source) return;
  source = new EventSource('/api/v1/events');
  for (const kind of Object.keys(handlers) as Kind[]) {
    source.addEventListener(kind, (event) => {
      const data: unknown = JSON.parse((event as MessageEvent<string>).data);
      handlers[kind].forEach((handler) => handler(data));
    });
  }
}

function closeIfIdle() {
  if (Object.values(handlers).some((set) => set.size > 0)) return;
  source?.close();
  source = null;
}

/** Calls `changed` soon after events of the given kinds. */
export function useLive(kinds: Kind[], changed: () => void) {
  const latest = useRef(changed);
  latest.current = changed;
  const wanted = kinds.join();
  useEffect(() => {
    let timer: number | undefined;
    const handler = () => {
      window.clearTimeout(timer);
      timer = window.setTimeout(() => latest.current(), SETTLE_MS);
    };
    const list = wanted.split(',') as Kind[];
    list.forEach((kind) => handlers[kind].add(handler));
    open();
    return () => {
      list.forEach((kind) => handlers[kind].delete(handler));
      window.clearTimeout(timer);
      closeIfIdle();
    };
  }, [wanted]);
}
