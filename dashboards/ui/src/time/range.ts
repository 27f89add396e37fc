// A page's time range: what stands in the URL, and the times it means.

/** `now-1h`, `now`, or Unix milliseconds as digits. */
export interface RangeSpec {
  from: string;
  to: string;
}

export interface Resolved {
  fromMs: number;
  toMs: number;
}

export const DEFAULT_RANGE: RangeSpec = { from: 'now-1h', to: 'now' };

/** Quick ranges, as a duration before now. */
export const QUICK = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '2d', '7d', '30d'] as const;

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** No range is shorter: there would be no two points in it. */
export const SHORTEST_MS = 10_000;
/** No range is longer: about 13 months. */
export const LONGEST_MS = 400 * 86_400_000;

/** `1h` → milliseconds; null when it is no duration. */
export function durationMs(text: string): number | null {
  const match = /^(\d+)([smhdw])$/.exec(text);
  if (!match) return null;
  return Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? 0);
}

/** The time that a bound means; null when it means none. */
export function boundMs(bound: string, nowMs: number): number | null {
  if (bound === 'now') return nowMs;
  if (bound.startsWith('now-')) {
    const back = durationMs(bound.slice(4));
    return back === null ? null : nowMs - back;
  }
  return /^\d{10,14}$/.test(bound) ? Number(bound) : null;
}

/** The range that a pair of bounds means; a pair that means none is the default. */
export function resolve(spec: RangeSpec, nowMs: number): Resolved {
  const from = boundMs(spec.from, nowMs);
  const to = boundMs(spec.to, nowMs);
  if (from === null || to === null || to - from < 1) return resolve(DEFAULT_RANGE, nowMs);
  return { fromMs: from, toMs: to };
}

/** Reads `from` and `to` of a URL's query. */
export function fromParams(params: URLSearchParams): RangeSpec {
  const from = params.get('from');
  const to = params.get('to') ?? 'now';
  if (from === null || boundMs(from, 0) === null || boundMs(to, 0) === null) return DEFAULT_RANGE;
  return { from, to };
}

/** Writes them; the default leaves the URL clean. */
export function toParams(spec: RangeSpec, params: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams(params);
  next.delete('from');
  next.delete('to');
  if (!sameRange(spec, DEFAULT_RANGE)) {
    next.set('from', spec.from);
    if (spec.to !== 'now') next.set('to', spec.to);
  }
  return next;
}

export function sameRange(a: RangeSpec, b: RangeSpec): boolean {
  return a.from === b.from && a.to === b.to;
}

export function absolute(fromMs: number, toMs: number): RangeSpec {
  let from = Math.round(Math.min(fromMs, toMs));
  let to = Math.round(Math.max(fromMs, toMs));
  if (to - from < SHORTEST_MS) {
    const middle = (from + to) / 2;
    from = Math.round(middle - SHORTEST_MS / 2);
    to = from + SHORTEST_MS;
  }
  if (to - from > LONGEST_MS) from = to - LONGEST_MS;
  return { from: String(from), to: String(to) };
}

/** Moves the range by a part of its width; never past now. */
export function shift(range: Resolved, part: number, nowMs: number): RangeSpec {
  const width = range.toMs - range.fromMs;
  const to = Math.min(range.toMs + width * part, nowMs);
  return absolute(to - width, to);
}

/** Widens (`factor` > 1) or narrows the range. One that ends now goes on ending now. */
export function zoom(spec: RangeSpec, range: Resolved, factor: number, nowMs: number): RangeSpec {
  const width = Math.min(Math.max((range.toMs - range.fromMs) * factor, SHORTEST_MS), LONGEST_MS);
  if (spec.to === 'now') {
    const seconds = Math.max(1, Math.round(width / 1000));
    const unit = (['d', 'h', 'm', 's'] as const).find((name) => (seconds * 1000) % (UNIT_MS[name] ?? 1) === 0) ?? 's';
    return { from: `now-${(seconds * 1000) / (UNIT_MS[unit] ?? 1000)}${unit}`, to: 'now' };
  }
  const middle = (range.fromMs + range.toMs) / 2;
  const to = Math.min(middle + width / 2, nowMs);
  return absolute(to - width, to);
}

const STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400].map((s) => s * 1000);

/** Points a chart asks for at most: more than its pixels would show nothing more. */
const MAX_POINTS = 300;

/** The step of a range, and the range aligned to it, so that points stand still while time goes on. */
export function stepped(range: Resolved): { startMs: number; endMs: number; stepMs: number } {
  const wanted = (range.toMs - range.fromMs) / MAX_POINTS;
  const stepMs = STEPS_MS.find((step) => step >= wanted) ?? Math.ceil(wanted / 86_400_000) * 86_400_000;
  return { startMs: Math.floor(range.fromMs / stepMs) * stepMs, endMs: Math.floor(range.toMs / stepMs) * stepMs, stepMs };
}
