// The log query's text, as clicks change it.

/** A value as it may stand in a query: quoted unless it is one plain word. */
export function quoted(value: string): string {
  return /^[\w.-]+$/.test(value) ? value : `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** Adds `name:value`, or takes it out when it is already there. */
export function withCondition(query: string, name: string, value: string, not: boolean): string {
  const condition = `${not ? '-' : ''}${name}:${quoted(value)}`;
  const parts = query.trim() === '' ? [] : [query.trim()];
  if (` ${query} `.includes(` ${condition} `)) return ` ${query} `.replace(` ${condition} `, ' ').trim();
  return [...parts, condition].join(' ');
}

/** A pattern's id as queries know it: rows carry it in hexadecimal, the index as a decimal number. */
export function patternNumber(id: string): string {
  return /^[0-9a-f]{16}$/.test(id) ? BigInt(`0x${id}`).toString() : id;
}

/** A query mistake's place, which stands before its words: `1:3: a word is expected`. */
export function queryMistake(message: string): { column: number | null; text: string } {
  const match = /^(\d+):(\d+): (.*)$/s.exec(message);
  return match ? { column: Number(match[2]), text: match[3] ?? '' } : { column: null, text: message };
}

/** Severities as the histogram stacks them, the most serious at the bottom. */
export const BANDS = ['error', 'warning', 'info', 'debug', 'unknown'] as const;
export type Band = (typeof BANDS)[number];

const BAND_OF: Record<string, Band> = {
  emergency: 'error',
  alert: 'error',
  critical: 'error',
  error: 'error',
  warning: 'warning',
  notice: 'info',
  info: 'info',
  debug: 'debug',
  trace: 'debug',
  unknown: 'unknown',
};

export function bandOf(severity: string): Band {
  return BAND_OF[severity] ?? 'unknown';
}
