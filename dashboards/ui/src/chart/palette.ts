// A series keeps its colour everywhere: the colour follows from its labels, not from its place in a list.
import type { Labels } from '../api/types';

/** Eight hues, defined in tokens.css as --series-0 … --series-7 (Okabe and Ito's, adapted to each ground). */
export const SERIES_COLOURS = 8;

/** FNV-1a over the text. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    value ^= text.charCodeAt(at);
    value = Math.imul(value, 0x01000193);
  }
  return value >>> 0;
}

/** What identifies a series by its labels, whatever their order; the metric's name does not count. */
export function labelKey(labels: Labels): string {
  return Object.keys(labels)
    .filter((name) => name !== '__name__')
    .sort()
    .map((name) => `${name}=${labels[name]}`)
    .join(',');
}

/** Colours for the series of one chart: by hash; where two meet, the second takes the next free hue. */
export function assignColours(keys: string[]): number[] {
  const taken = new Set<number>();
  return keys.map((key) => {
    let colour = hash(key) % SERIES_COLOURS;
    for (let tries = 0; taken.has(colour) && tries < SERIES_COLOURS; tries += 1) colour = (colour + 1) % SERIES_COLOURS;
    taken.add(colour);
    if (taken.size === SERIES_COLOURS) taken.clear();
    return colour;
  });
}
