// Forecasts as the analyzer writes them: a sample at a time says what is expected one horizon later, one series per quantile
// (`mean`, `lower80`, `upper80`, `lower95`, `upper95`).
import type { BatchResult } from '../api/types';
import { durationMs } from '../time/range';
import type { LineKind, Part } from './frame';

function kindOf(quantile: string): LineKind {
  if (quantile.startsWith('lower')) return 'lower';
  return quantile.startsWith('upper') ? 'upper' : 'mean';
}

/** The longest horizon among a forecast's series; 0 when none says. */
export function horizonMs(result: BatchResult | undefined): number {
  return Math.max(0, ...(result?.matrix ?? []).map((series) => durationMs(series.labels.horizon ?? '') ?? 0));
}

/** A forecast's result as a mean and its bands, each at the time that it is about; the widest band first. */
export function forecastParts(result: BatchResult | undefined, legend: string): Part[] {
  if (!result) return [];
  const quantiles = [...new Set(result.matrix.map((series) => series.labels.quantile ?? ''))].sort().reverse();
  // An edge without its counterpart is a line of its own.
  const paired = (quantile: string) =>
    quantiles.includes(quantile.startsWith('lower') ? quantile.replace('lower', 'upper') : quantile.replace('upper', 'lower'));
  return quantiles.map((quantile) => {
    const matrix = result.matrix.filter((series) => (series.labels.quantile ?? '') === quantile);
    const kind = kindOf(quantile);
    return {
      result: { ...result, matrix },
      legend,
      kind: kind !== 'mean' && !paired(quantile) ? 'mean' : kind,
      shiftMs: horizonMs({ ...result, matrix }),
    };
  });
}
