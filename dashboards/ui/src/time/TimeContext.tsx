// One time range for the page: in the URL, shared by all charts, moved by keys and by dragging.
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { useSearchParams } from '../router';
import { usePreference } from '../preferences';
import { absolute, fromParams, resolve, sameRange, shift, toParams, zoom, type RangeSpec, type Resolved } from './range';

/** Refresh intervals in seconds; 0 is off. */
export const REFRESH = [0, 5, 15, 60] as const;

interface Time {
  spec: RangeSpec;
  range: Resolved;
  /** Counts refreshes; what loads from the server loads again when it changes. */
  tick: number;
  refreshSeconds: number;
  utc: boolean;
  setSpec: (spec: RangeSpec) => void;
  /** Zooms to a part of a chart. */
  select: (fromMs: number, toMs: number) => void;
  back: () => void;
  canGoBack: boolean;
  shiftBy: (part: number) => void;
  zoomBy: (factor: number) => void;
  refreshNow: () => void;
  setRefresh: (seconds: number) => void;
  setUtc: (utc: boolean) => void;
}

const Context = createContext<Time | null>(null);

/** How many zooms `z` can go back. */
const REMEMBERED = 30;

/** The range of the address as it is now: keys come faster than pages are drawn, and each starts from the one before. */
export const specNow = (): RangeSpec => fromParams(new URLSearchParams(window.location.search));

export function TimeProvider({ children }: { children: ReactNode }) {
  const [params, setParams] = useSearchParams();
  const spec = useMemo(() => fromParams(params), [params]);
  const [refreshSeconds, setRefresh] = usePreference<number>('refresh', 15);
  const [utc, setUtc] = usePreference<boolean>('utc', false);
  const [now, setNow] = useState({ ms: Date.now(), tick: 0 });
  const earlier = useRef<RangeSpec[]>([]);
  const range = useMemo(() => resolve(spec, now.ms), [spec, now]);

  const refreshNow = useCallback(() => setNow((before) => ({ ms: Date.now(), tick: before.tick + 1 })), []);
  useEffect(() => {
    if (!refreshSeconds) return;
    // A page nobody looks at asks for nothing; it catches up when it is looked at again.
    const timer = window.setInterval(() => {
      if (!document.hidden) refreshNow();
    }, refreshSeconds * 1000);
    const shown = () => {
      if (!document.hidden) refreshNow();
    };
    document.addEventListener('visibilitychange', shown);
    return () => {
      window.clearInterval(timer);
      document.removeEventListener('visibilitychange', shown);
    };
  }, [refreshSeconds, refreshNow]);

  const put = useCallback(
    (next: RangeSpec) => setParams((before) => toParams(next, before)),
    [setParams],
  );
  const setSpec = useCallback(
    (next: RangeSpec) => {
      const before = specNow();
      if (sameRange(next, before)) return;
      earlier.current = [...earlier.current.slice(-REMEMBERED + 1), before];
      setNow((last) => ({ ms: Date.now(), tick: last.tick }));
      put(next);
    },
    [put],
  );
  const back = useCallback(() => {
    const last = earlier.current.at(-1);
    if (!last) return;
    earlier.current = earlier.current.slice(0, -1);
    put(last);
  }, [put]);
  const canGoBack = earlier.current.length > 0;

  const value = useMemo<Time>(
    () => ({
      spec,
      range,
      tick: now.tick,
      refreshSeconds,
      utc,
      setSpec,
      select: (fromMs, toMs) => setSpec(absolute(fromMs, toMs)),
      back,
      canGoBack,
      shiftBy: (part) => setSpec(shift(resolve(specNow(), Date.now()), part, Date.now())),
      zoomBy: (factor) => setSpec(zoom(specNow(), resolve(specNow(), Date.now()), factor, Date.now())),
      refreshNow,
      setRefresh,
      setUtc,
    }),
    [spec, range, now.tick, refreshSeconds, utc, setSpec, back, canGoBack, refreshNow, setRefresh, setUtc],
  );
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useTime(): Time {
  const time = useContext(Context);
  if (!time) throw new Error('useTime outside of TimeProvider');
  return time;
}
