// Times and ages, in local time or UTC.
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(locale: string, utc: boolean, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${locale} ${utc} ${JSON.stringify(options)}`;
  let found = formatters.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(locale, { ...options, hourCycle: 'h23', ...(utc ? { timeZone: 'UTC' } : {}) });
    formatters.set(key, found);
  }
  return found;
}

export interface Clock {
  locale: string;
  utc: boolean;
}

/** 14:02:31, or with the milliseconds. */
export function clockTime(ms: number, clock: Clock, withMs = false): string {
  const text = formatter(clock.locale, clock.utc, { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(ms);
  return withMs ? `${text}.${String(Math.floor(ms % 1000)).padStart(3, '0')}` : text;
}

/** 21 Nov, 14:02 */
export function dayTime(ms: number, clock: Clock): string {
  return formatter(clock.locale, clock.utc, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' }).format(ms);
}

/** With year and seconds, for titles and tooltips. */
export function fullTime(ms: number, clock: Clock): string {
  const text = formatter(clock.locale, clock.utc, {
    year: 'numeric',
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  }).format(ms);
  return clock.utc ? `${text} UTC` : text;
}

/** Today's times without the day, others with it. */
export function shortTime(ms: number, clock: Clock, nowMs = Date.now()): string {
  const day = formatter(clock.locale, clock.utc, { year: 'numeric', month: 'numeric', day: 'numeric' });
  return day.format(ms) === day.format(nowMs) ? clockTime(ms, clock) : dayTime(ms, clock);
}

/** A label of a time axis whose labels stand `gapSeconds` apart. */
export function axisTime(ms: number, gapSeconds: number, clock: Clock): string {
  if (gapSeconds >= 86_400) return formatter(clock.locale, clock.utc, { month: 'short', day: 'numeric' }).format(ms);
  const minuteOfDay = formatter(clock.locale, clock.utc, { hour: '2-digit', minute: '2-digit' }).format(ms);
  if (minuteOfDay === '00:00' && gapSeconds >= 3600) {
    return formatter(clock.locale, clock.utc, { month: 'short', day: 'numeric' }).format(ms);
  }
  return gapSeconds < 60 ? clockTime(ms, clock) : minuteOfDay;
}

/** How long ago, in words of the locale: "5 min. ago". */
export function ago(ms: number, locale: string, nowMs = Date.now()): string {
  const past = Math.max(0, nowMs - ms) / 1000;
  const words = new Intl.RelativeTimeFormat(locale, { style: 'short', numeric: 'always' });
  if (past < 60) return words.format(-Math.round(past), 'second');
  if (past < 3600) return words.format(-Math.round(past / 60), 'minute');
  if (past < 86_400) return words.format(-Math.round(past / 3600), 'hour');
  return words.format(-Math.round(past / 86_400), 'day');
}

/** For <input type="datetime-local">, in the chosen zone. */
export function toInput(ms: number, utc: boolean): string {
  const shifted = utc ? ms : ms - new Date(ms).getTimezoneOffset() * 60_000;
  return new Date(shifted).toISOString().slice(0, 19);
}

/** Back again; null when it is no time. */
export function fromInput(text: string, utc: boolean): number | null {
  const ms = Date.parse(utc ? `${text}Z` : text);
  return Number.isNaN(ms) ? null : ms;
}
