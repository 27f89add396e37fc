// All charts of a page, loaded by one request.
import { useMemo } from 'react';
import type { Change, Chart } from '../api/types';
import { useBatch, type Batch } from '../api/useApi';
import { useWords, type Translate } from '../i18n';
import { stepped } from '../time/range';
import { useTime } from '../time/TimeContext';
import { Failed } from '../ui/Panel';
import { ChartPanel } from './ChartPanel';
import type { Frame } from './frame';
import { frameOf, queriesOf } from './served';

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
  const named = useMemo(() => charts.map((chart) => withLegends(chart, t, has)), [charts, t, has]);
  const loaded = useBatch(queries, stepped(range));
  const frames = useFrames(named, loaded.data);
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

/** The server's names of lines in the page's language. */
function withLegends(chart: Chart, t: Translate, has: (key: string) => boolean): Chart {
  const word = (legend: string) => {
    const key = `chart.legend.${legend.replaceAll(' ', '_')}`;
    return has(key) ? t(key) : legend;
  };
  return { ...chart, queries: chart.queries.map((query) => ({ ...query, legend: word(query.legend) })) };
}

function useFrames(charts: Chart[], batch: Batch | null): Map<string, Frame> {
  return useMemo(() => new Map(batch === null ? [] : charts.map((chart) => [chart.id, frameOf(chart, batch)])), [charts, batch]);
}

function humanise(key: string): string {
  const words = (key.split('.').pop() ?? key).replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
