// Reading from the server: old data stays until new data is there.
import { useCallback, useEffect, useRef, useState } from 'react';
import { useTime } from '../time/TimeContext';
import { ApiError, connection, getJson, sendJson } from './client';
import type { BatchResult } from './types';

export interface Loaded<T> {
  data: T | null;
  /** Why the last attempt failed; `data` may still be there from before. */
  error: ApiError | null;
  /** True for longer than a person would notice. */
  loading: boolean;
  /** When `data` arrived. */
  loadedAt: number | null;
  reload: () => void;
}

/** A wait shorter than this shows nothing. */
const PATIENCE_MS = 200;

/**
 * Loads whenever `key` changes, at every refresh tick (unless `still`), and when the server comes back. A null key loads
 * nothing.
 */
export function useLoad<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>, still = false): Loaded<T> {
  const time = useTime();
  const tick = still ? 0 : time.tick;
  const [state, setState] = useState<{ data: T | null; error: ApiError | null; loadedAt: number | null }>({
    data: null,
    error: null,
    loadedAt: null,
  });
  const [loading, setLoading] = useState(false);
  const [again, setAgain] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const reload = useCallback(() => setAgain((count) => count + 1), []);

  useEffect(() => {
    const stop = connection.onReturn(reload);
    return () => void stop();
  }, [reload]);

  useEffect(() => {
    if (key === null) return;
    const control = new AbortController();
    const timer = window.setTimeout(() => setLoading(true), PATIENCE_MS);
    latest
      .current(control.signal)
      .then((data) => {
        if (!control.signal.aborted) setState({ data, error: null, loadedAt: Date.now() });
      })
      .catch((cause: unknown) => {
        if (control.signal.aborted) return;
        const error = cause instanceof ApiError ? cause : new ApiError('internal', String(cause));
        setState((before) => ({ ...before, error }));
      })
      .finally(() => {
        window.clearTimeout(timer);
        if (!control.signal.aborted) setLoading(false);
      });
    return () => {
      control.abort();
      window.clearTimeout(timer);
    };
  }, [key, tick, again]);

  return { ...state, loading, reload };
}

/** Loads a path with GET. */
export function useApi<T>(path: string | null): Loaded<T> {
  return useLoad<T>(path, (signal) => getJson<T>(path ?? '', signal));
}

export interface BatchQuery {
  id: string;
  expr: string;
}

/** The server takes at most this many queries at once. */
const BATCH_SIZE = 32;

export interface Steps {
  startMs: number;
  endMs: number;
  stepMs: number;
}

/** Results and the range that they are of: old results stay on their own axis until new ones are there. */
export interface Batch {
  results: Map<string, BatchResult>;
  steps: Steps;
}

/** Runs queries over a range in as few requests as possible. */
export async function runBatch(queries: BatchQuery[], steps: Steps, signal?: AbortSignal): Promise<Batch> {
  const results = new Map<string, BatchResult>();
  for (let at = 0; at < queries.length; at += BATCH_SIZE) {
    const body = {
      start_ms: steps.startMs,
      end_ms: steps.endMs,
      step_ms: steps.stepMs,
      queries: queries.slice(at, at + BATCH_SIZE),
    };
    const answer = await sendJson<{ results: BatchResult[] }>('/api/v1/query_batch', body, signal);
    for (const result of answer.results) results.set(result.id, result);
  }
  return { results, steps };
}

/** One batch for a whole page of charts. */
export function useBatch(queries: BatchQuery[], steps: Steps): Loaded<Batch> {
  const wanted = queries.filter((query) => query.expr.trim() !== '');
  const key = wanted.length === 0 ? null : JSON.stringify([wanted, steps]);
  return useLoad(key, (signal) => runBatch(wanted, steps, signal));
}
