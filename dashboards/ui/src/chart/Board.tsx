// All charts of a page, loaded by one request.
import { useMemo } from 'react';
import type { Change, Chart } from '../api/types';
import { useBatch, type Batch, type BatchQuery } from '../api/useApi';
import { useWords } from '../i18n';
import { stepped } from '../time/range';
import { useTime } from '../time/TimeContext';
import { Failed } from '../ui/Panel';
import { ChartPanel } from './ChartPanel';
import { allQuantiles, forecastParts } from './forecast';
import { buildFrame, type Frame, type Part } from './frame';

export interface BoardChart extends Chart {
  /** Already in the page's language; else `title_key` is translated. */
  title?: string;
}

interface Props {
  charts: BoardChart[];
  events?: Change[];
  height?: number;
}

export function Board({ charts, events, height }: Props) {
  const { t, has } = useWords();
  const { range } = useTime();
  const queries = useMemo(() => charts.flatMap(queriesOf), [charts]);
  const loaded = useBatch(queries, stepped(range));
  const frames = useFrames(charts, loaded.data);
  if (loaded.error && loaded.data === null) return <Failed loaded={loaded} />;
  return (
    <div className="board">
      {charts.map((chart) => (
        <ChartPanel
          key={chart.id}
          title={chart.title ?? (has(chart.title_key) ? t(chart.title_key) : humanise(chart.title_key))}
          frame={frames.get(chart.id) ?? null}
          unit={chart.unit}
          queries={chart.queries.map((query) => query.expr)}
          error={chart.queries.map((_, at) => loaded.data?.results.get(`${chart.id}:${at}`)?.error).find(Boolean)}
          thresholds={chart.thresholds.map((threshold) => ({
            value: threshold.value,
            label: has(threshold.label_key) ? t(threshold.label_key) : humanise(threshold.label_key),
          }))}
          events={events}
          height={height}
        />
      ))}
    </div>
  );
}

/** The queries of a chart, each with an id that finds its result again. */
export function queriesOf(chart: Chart): BatchQuery[] {
  const own = chart.queries.map((query, at) => ({ id: `${chart.id}:${at}`, expr: query.expr }));
  if (!chart.forecast) return own;
  const { mean, lower, upper } = chart.forecast;
  return [
    ...own,
    { id: `${chart.id}:mean`, expr: allQuantiles(mean) },
    { id: `${chart.id}:lower`, expr: lower },
    { id: `${chart.id}:upper`, expr: upper },
  ];
}

export function frameOf(chart: Chart, { results, steps }: Batch): Frame {
  const parts: Part[] = chart.queries.map((query, at) => ({
    result: results.get(`${chart.id}:${at}`),
    legend: query.legend,
    kind: chart.step_lines ? 'step' : 'line',
  }));
  const legend = chart.queries[0]?.legend ?? '';
  parts.push(...forecastParts(results.get(`${chart.id}:mean`), legend));
  for (const kind of ['lower', 'upper'] as const) {
    const result = results.get(`${chart.id}:${kind}`);
    if (result) parts.push({ result, legend, kind });
  }
  return buildFrame(parts, steps);
}

function useFrames(charts: Chart[], batch: Batch | null): Map<string, Frame> {
  return useMemo(() => new Map(batch === null ? [] : charts.map((chart) => [chart.id, frameOf(chart, batch)])), [charts, batch]);
}

function humanise(key: string): string {
  const words = (key.split('.').pop() ?? key).replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
