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
