// Values with their units, as a person reads them. Unknown is a dash, never 0.
import type { ChartUnit } from '../api/types';

export type Unit = ChartUnit | 'none';

/** Shown where a value is not known. */
export const UNKNOWN = '–';

const formatters = new Map<string, Intl.NumberFormat>();

function formatter(locale: string, digits: number): Intl.NumberFormat {
  const key = `${locale} ${digits}`;
  let found = formatters.get(key);
  if (!found) {
    found = new Intl.NumberFormat(locale, { maximumFractionDigits: digits });
    formatters.set(key, found);
  }
  return found;
}

/** Three significant figures, no exponent. */
export function figure(value: number, locale = 'en'): string {
  const size = Math.abs(value);
  // What is tiny has as many decimals as three figures need.
  const digits = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : Math.min(9, 2 - Math.floor(Math.log10(size)));
  return formatter(locale, digits).format(value);
}

const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const SI = ['', 'k', 'M', 'G', 'T'];

function scaled(value: number, base: number, names: string[], locale: string): string {
  let rest = value;
  let at = 0;
  while (Math.abs(rest) >= base && at < names.length - 1) {
    rest /= base;
    at += 1;
  }
  const name = names[at] ?? '';
  const text = at === 0 && base === 1024 ? formatter(locale, 0).format(rest) : figure(rest, locale);
  return name ? `${text} ${name}` : text;
}

/** Seconds in the unit that fits: 250 µs, 12 ms, 3.2 s, 4 min, 2.5 h, 3 d. */
export function seconds(value: number, locale = 'en'): string {
  const size = Math.abs(value);
  if (size === 0) return '0 s';
  if (size < 1e-3) return `${figure(value * 1e6, locale)} µs`;
  if (size < 1) return `${figure(value * 1e3, locale)} ms`;
  if (size < 120) return `${figure(value, locale)} s`;
  if (size < 7200) return `${figure(value / 60, locale)} min`;
  if (size < 172_800) return `${figure(value / 3600, locale)} h`;
  return `${figure(value / 86_400, locale)} d`;
}

/** Fewer cores are given in thousandths. */
const MILLI_BELOW = 0.1;

function coresWord(value: number, locale: string): string {
  if (locale.startsWith('zh')) return '核';
  return value === 1 ? 'core' : 'cores';
}

export function formatValue(value: number | null | undefined, unit: Unit, locale = 'en'): string {
  if (value === null || value === undefined || Number.isNaN(value)) return UNKNOWN;
  if (!Number.isFinite(value)) return value > 0 ? '+∞' : '−∞';
  switch (unit) {
    case 'percent':
      return `${figure(value, locale)} %`;
    case 'ratio':
      return `${figure(value * 100, locale)} %`;
    case 'bytes':
      return scaled(value, 1024, IEC, locale);
    case 'bytes_per_second':
      return `${scaled(value, 1024, IEC, locale)}/s`;
    case 'seconds':
      return seconds(value, locale);
    case 'rps':
      return `${Math.abs(value) >= 100_000 ? scaled(value, 1000, SI, locale) : figure(value, locale)}/s`;
    case 'cores':
      return Math.abs(value) < MILLI_BELOW && value !== 0 ? `${figure(value * 1000, locale)} ${locale.startsWith('zh') ? '毫核' : 'mcores'}` : `${figure(value, locale)} ${coresWord(value, locale)}`;
    case 'count':
    case 'none':
      return Math.abs(value) >= 100_000 ? scaled(value, 1000, SI, locale) : figure(value, locale);
  }
}

/** A whole number with the locale's separators. */
export function count(value: number | null | undefined, locale = 'en'): string {
  return value === null || value === undefined ? UNKNOWN : formatter(locale, 0).format(value);
}

/** The unit a query's result is likely in, read from the metric's name and what is done with it. */
export function inferUnit(expr: string): Unit {
  const text = expr.trim();
  const isRate = /\b(i?rate|deriv)\s*\(/.test(text);
  const name = /[a-zA-Z_:][a-zA-Z0-9_:]*(?=\s*(\{|\[|\)|$|[-+*/<>=!]))/g;
  const names = [...text.matchAll(name)].map((match) => match[0]);
  const has = (suffix: RegExp) => names.some((found) => suffix.test(found));
  if (/histogram_quantile/.test(text) && has(/_seconds(_bucket)?$/)) return 'seconds';
  // A quotient of two like things has no unit of its own.
  if (/\/\s*[a-z(]/i.test(text) && !/\/\s*\d/.test(text)) return has(/_seconds_sum$/) ? 'seconds' : 'none';
  if (has(/_ratio$/)) return 'ratio';
  if (has(/_percent$/)) return 'percent';
  if (has(/_bytes(_total)?$/)) return isRate ? 'bytes_per_second' : 'bytes';
  if (has(/_seconds(_total)?$/)) return isRate ? 'none' : 'seconds';
  if (isRate && has(/_(total|count)$/)) return 'rps';
  return 'none';
}
