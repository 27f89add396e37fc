// Query results as lines over one time axis, with what the legend and the table say of them.
import type { BatchResult, Labels, RawValue } from '../api/types';
import type { Steps } from '../api/useApi';
import { assignColours, labelKey } from './palette';

export type LineKind = 'line' | 'step' | 'mean' | 'lower' | 'upper';

export interface Line {
  /** Unique in its chart and stable over refreshes. */
  key: string;
  label: string;
  labels: Labels;
  kind: LineKind;
  colour: number;
  values: (number | null)[];
  last: number | null;
  mean: number | null;
  max: number | null;
}

export interface Frame {
  /** Unix seconds, as uPlot wants them. */
  times: number[];
  lines: Line[];
  /** Series left out because there are too many. */
  hidden: number;
}

/** More lines than this say nothing; the ones with the highest last values are shown. */
export const MAX_LINES = 20;

export interface Part {
  result: BatchResult | undefined;
  legend: string;
  kind: LineKind;
  /** Stands for the labels of a series that has none. */
  name?: string;
  /** Moves the points: a forecast is drawn at the time that it is about. */
  shiftMs?: number;
}

/** A number, or null for what is not one: NaN and infinities leave a gap. */
export function parseValue(raw: RawValue): number | null {
  const value = raw === null ? NaN : Number(raw);
  return Number.isFinite(value) ? value : null;
}

/** `{{mode}} on {{host}}` filled from the labels; without a template the labels themselves. */
export function legendText(template: string, labels: Labels): string {
  if (template) return template.replace(/\{\{\s*([\w.]+)\s*\}\}/g, (_, name: string) => labels[name] ?? '').trim();
  const { __name__: name = '', ...rest } = labels;
  const pairs = Object.entries(rest).map(([key, value]) => `${key}="${value}"`);
  return pairs.length ? `${name}{${pairs.join(', ')}}` : name || '{}';
}

/** Joins the parts over the steps of the range; a step without a point is a gap. */
export function buildFrame(parts: Part[], steps: Steps): Frame {
  const length = Math.max(0, Math.floor((steps.endMs - steps.startMs) / steps.stepMs) + 1);
  const times = Array.from({ length }, (_, at) => (steps.startMs + at * steps.stepMs) / 1000);
  const lines: Line[] = [];
  parts.forEach((part, partAt) => {
    for (const series of part.result?.matrix ?? []) {
      const values = new Array<number | null>(length).fill(null);
      for (const [time, raw] of series.points) {
        const at = Math.round((time + (part.shiftMs ?? 0) - steps.startMs) / steps.stepMs);
        if (at >= 0 && at < length) values[at] = parseValue(raw);
      }
      const label = legendText(part.legend, series.labels);
      lines.push({
        key: `${partAt}:${labelKey(series.labels)}:${series.labels.__name__ ?? ''}`,
        label: label && label !== '{}' ? label : (part.name ?? '{}'),
        labels: series.labels,
        kind: part.kind,
        colour: 0,
        values,
        ...summarise(values),
      });
    }
  });
  const drawn = lines.filter((line) => line.kind === 'line' || line.kind === 'step');
  // A forecast about another time than the frame's is not in it.
  const others = lines.filter((line) => line.kind !== 'line' && line.kind !== 'step' && line.max !== null);
  const top = drawn.length > MAX_LINES ? [...drawn].sort((a, b) => (b.last ?? -Infinity) - (a.last ?? -Infinity)).slice(0, MAX_LINES) : drawn;
  // A plain legend (one named line) hashes by its name, so that "RPS" is the same everywhere.
  const colours = assignColours(top.map((line) => labelKey(line.labels) + (Object.keys(line.labels).length ? '' : line.label) || line.label));
  top.forEach((line, at) => (line.colour = colours[at] ?? 0));
  // A forecast has the hue of what it forecasts.
  others.forEach((line) => (line.colour = top[0]?.colour ?? 0));
  return { times, lines: [...top, ...others], hidden: drawn.length - top.length };
}

/** A forecast's edge may be so many times as high as what was; what is beyond is cut. */
const EDGE_TIMES = 2;

/** Up to where a chart is drawn: all lines and limits, and edges of a forecast as far as they leave the lines readable. */
export function topOf(lines: Line[], limits: number[]): number {
  const highest = (wanted: Line[]) => Math.max(0, ...wanted.map((line) => line.max ?? 0));
  const isEdge = (line: Line) => line.kind === 'upper' || line.kind === 'lower';
  const drawn = Math.max(highest(lines.filter((line) => !isEdge(line))), ...limits, 0);
  const edges = highest(lines.filter(isEdge));
  return drawn === 0 ? edges : Math.max(drawn, Math.min(edges, drawn * EDGE_TIMES));
}

/** The line that is called so. */
export function labelled(frame: Frame, label: string): Line | undefined {
  return frame.lines.find((line) => line.label === label);
}

export function summarise(values: (number | null)[]): { last: number | null; mean: number | null; max: number | null } {
  let sum = 0;
  let known = 0;
  let max: number | null = null;
  let last: number | null = null;
  for (const value of values) {
    if (value === null) continue;
    sum += value;
    known += 1;
    last = value;
    if (max === null || value > max) max = value;
  }
  return { last, mean: known ? sum / known : null, max };
}

/** A text as one field of a CSV. */
export const quote = (text: string) => `"${text.replaceAll('"', '""')}"`;

/** The frame as CSV: one row per time, one column per line. */
export function toCsv(frame: Frame): string {
  const head = ['time', ...frame.lines.map((line) => quote(line.label))].join(',');
  const rows = frame.times.map((time, at) =>
    [new Date(time * 1000).toISOString(), ...frame.lines.map((line) => line.values[at] ?? '')].join(','),
  );
  return [head, ...rows].join('\n');
}

/** Hands a text to the browser as a file. */
export function download(name: string, type: string, text: string) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
