// Queries that were run, newest first.
import { getPreference, setPreference } from '../preferences';

/** Older ones are forgotten. */
const KEPT = 30;

export function recentQueries(): string[] {
  return getPreference<string[]>('queries', []);
}

export function rememberQuery(query: string) {
  const text = query.trim();
  if (!text) return;
  setPreference('queries', [text, ...recentQueries().filter((other) => other !== text)].slice(0, KEPT));
}
