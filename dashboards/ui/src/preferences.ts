// What a person chose, kept in the browser. Storage may be forbidden; then a choice lasts as long as the page.
import { useCallback, useSyncExternalStore } from 'react';

const memory = new Map<string, string>();
const listeners = new Set<() => void>();

function read(name: string): string | null {
  try {
    return localStorage.getItem(`tidewatch.${name}`) ?? memory.get(name) ?? null;
  } catch {
    return memory.get(name) ?? null;
  }
}

export function getPreference<T>(name: string, fallback: T): T {
  const text = read(name);
  if (text === null) return fallback;
  try {
    return JSON.parse(text) as T;
  } catch {
    return text as T;
  }
}

export function setPreference(name: string, value: unknown) {
  // Strings are kept bare, so that theme.js reads them without parsing.
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  memory.set(name, text);
  try {
    localStorage.setItem(`tidewatch.${name}`, text);
  } catch {
    // Kept in memory.
  }
  listeners.forEach((listener) => listener());
}

export function usePreference<T>(name: string, fallback: T): [T, (value: T) => void] {
  const text = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => read(name),
  );
  const value = text === null ? fallback : getPreference<T>(name, fallback);
  const set = useCallback((next: T) => setPreference(name, next), [name]);
  return [value, set];
}
