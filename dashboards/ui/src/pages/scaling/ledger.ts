// Sums of the ledger as a file and as a chart.
import type { LedgerSum } from '../../api/types';
import { quote, summarise, type Frame } from '../../chart/frame';

export const HOUR_MS = 3_600_000;

/** Sums as lines of a CSV. */
export function ledgerCsv(by: string, rows: LedgerSum[]): string {
  return [`${by},replica_hours,cost`, ...rows.map((row) => `${quote(row.key)},${row.replica_seconds / 3600},${row.cost}`)].join('\n');
}

/** Replica-hours of each hour; an hour without a row is unknown. The last hour goes on to its end. */
export function hourly(rows: LedgerSum[], fromMs: number, toMs: number, label: string): Frame {
  const times: number[] = [];
  for (let ms = fromMs; ms < toMs; ms += HOUR_MS) times.push(ms / 1000);
  const known = new Map(rows.map((row) => [Number(row.key) / 1000, row.replica_seconds / 3600]));
  const hours = times.map((time) => known.get(time) ?? null);
  if (hours.every((value) => value === null)) return { times, lines: [], hidden: 0 };
  times.push((times.at(-1) ?? 0) + HOUR_MS / 1000);
  const values = [...hours, hours.at(-1) ?? null];
  return { times, lines: [{ key: 'hours', label, labels: {}, kind: 'step', colour: 0, values, ...summarise(hours) }], hidden: 0 };
}
