// A chart that the server describes: its queries, and the frame that their results make.
import type { Chart } from '../api/types';
import type { Batch, BatchQuery } from '../api/useApi';
import { forecastParts } from './forecast';
import { buildFrame, type Frame, type Part } from './frame';

/** The queries of a chart, each with an id that finds its result again. */
export function queriesOf(chart: Chart): BatchQuery[] {
  const own = chart.queries.map((query, at) => ({ id: `${chart.id}:${at}`, expr: query.expr }));
  return chart.forecast ? [...own, { id: `${chart.id}:forecast`, expr: chart.forecast.query }] : own;
}

export function frameOf(chart: Chart, { results, steps }: Batch): Frame {
  const parts: Part[] = chart.queries.map((query, at) => ({
    result: results.get(`${chart.id}:${at}`),
    legend: query.legend,
    kind: chart.step_lines ? 'step' : 'line',
  }));
  const legend = chart.queries[0]?.legend ?? '';
  parts.push(...forecastParts(results.get(`${chart.id}:forecast`), legend));
  return buildFrame(parts, steps);
}
