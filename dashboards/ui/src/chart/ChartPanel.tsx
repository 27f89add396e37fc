// A chart with everything around it: caption, what one can do with it, events, legend, table, words for screen readers.
import { useMemo, useState } from 'react';
import type { ApiProblem, Change } from '../api/types';
import { fullTime, shortTime } from '../format/time';
import { formatValue, type Unit } from '../format/units';
import { useWords, type Translate } from '../i18n';
import { useTime } from '../time/TimeContext';
import { explorePath, To } from '../ui/links';
import { Choice, Menu } from '../ui/Menu';
import { EventStrip } from './EventStrip';
import { download, toCsv, type Frame } from './frame';
import { Legend } from './Legend';
import { Plot, type Threshold } from './Plot';

export interface ChartPanelProps {
  title: string;
  frame: Frame | null;
  unit: Unit;
  queries: string[];
  error?: ApiProblem | null;
  thresholds?: Threshold[];
  events?: Change[];
  height?: number;
  logScale?: boolean;
  /** A sentence under the caption. */
  note?: string;
  /** Leaves the way to the Metrics page out, on that page itself. */
  here?: boolean;
}

const NONE: ReadonlySet<string> = new Set();

export function ChartPanel({ title, frame, unit, queries, error, thresholds, events, height = 180, logScale, note, here }: ChartPanelProps) {
  const { t, locale } = useWords();
  const { utc } = useTime();
  const [asTable, setAsTable] = useState(false);
  const [isolated, setIsolated] = useState<ReadonlySet<string>>(NONE);
  const [highlighted, setHighlighted] = useState<string | null>(null);
  const summary = useMemo(() => (frame ? describe(frame, title, unit, t, locale) : title), [frame, title, unit, t, locale]);
  const lines = thresholds ?? [];
  const empty = frame !== null && frame.lines.length === 0;

  const isolate = (key: string, add: boolean) =>
    setIsolated((before) => {
      if (add) {
        const next = new Set(before);
        if (!next.delete(key)) next.add(key);
        return next;
      }
      return before.size === 1 && before.has(key) ? NONE : new Set([key]);
    });

  return (
    <figure className="panel chart">
      <figcaption className="panel-head">
        <h2>{title}</h2>
        {note && <span className="panel-note">{note}</span>}
        <div className="panel-actions">
          <Menu label={t('chart.actions', { title })} icon="more" align="right">
            {(close) => (
              <>
                {!here && (
                  <To className="menu-item" path={explorePath(...queries)}>
                    {t('chart.open')}
                  </To>
                )}
                <Choice
                  chosen={asTable}
                  onClick={() => {
                    setAsTable(!asTable);
                    close();
                  }}
                >
                  {t('chart.as_table')}
                </Choice>
                <Choice
                  onClick={() => {
                    void navigator.clipboard?.writeText(location.href);
                    close();
                  }}
                >
                  {t('chart.copy_link')}
                </Choice>
                <Choice
                  onClick={() => {
                    if (frame) download(`${fileName(title)}.csv`, 'text/csv', toCsv(frame));
                    close();
                  }}
                >
                  {t('chart.csv')}
                </Choice>
              </>
            )}
          </Menu>
        </div>
      </figcaption>
      {error ? (
        <div className="chart-state" role="alert">
          <strong>{t('state.failed.title')}</strong>
          <span>{error.message}</span>
        </div>
      ) : asTable && frame ? (
        <ChartTable frame={frame} unit={unit} title={title} clock={{ locale, utc }} t={t} />
      ) : empty ? (
        <div className="chart-state">{t('chart.empty')}</div>
      ) : frame ? (
        <>
          <Plot
            frame={frame}
            unit={unit}
            height={height}
            thresholds={lines}
            isolated={isolated}
            highlighted={highlighted}
            logScale={logScale}
            label={summary}
          />
          {events && <EventStrip events={events} times={frame.times} />}
          <Legend frame={frame} unit={unit} isolated={isolated} onIsolate={isolate} onHighlight={setHighlighted} />
        </>
      ) : (
        <div className="chart-state" />
      )}
    </figure>
  );
}

function fileName(title: string): string {
  return title.trim().replace(/[^\p{L}\p{N}]+/gu, '-').toLowerCase() || 'chart';
}

/** The chart in words: what it shows, how many lines, the highest and the latest. */
function describe(frame: Frame, title: string, unit: Unit, t: Translate, locale: string): string {
  const shown = frame.lines.filter((line) => line.kind === 'line' || line.kind === 'step');
  const parts = shown
    .slice(0, 5)
    .map((line) =>
      t('chart.summary_line', {
        label: line.label,
        last: formatValue(line.last, unit, locale),
        max: formatValue(line.max, unit, locale),
      }),
    );
  return `${t('chart.summary', { title, count: shown.length })} ${parts.join(' ')}`;
}

/** Rows of the table view at most; more is what the CSV is for. */
const TABLE_ROWS = 120;

function ChartTable({
  frame,
  unit,
  title,
  clock,
  t,
}: {
  frame: Frame;
  unit: Unit;
  title: string;
  clock: { locale: string; utc: boolean };
  t: Translate;
}) {
  const every = Math.max(1, Math.ceil(frame.times.length / TABLE_ROWS));
  const rows = frame.times.map((time, at) => ({ time, at })).filter((row) => (frame.times.length - 1 - row.at) % every === 0);
  return (
    <div className="table-box short" role="group" aria-label={title} tabIndex={0}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t('column.time')}</th>
            {frame.lines.map((line) => (
              <th key={line.key} scope="col" className="figure" title={line.label}>
                {line.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.reverse().map(({ time, at }) => (
            <tr key={time}>
              <td title={fullTime(time * 1000, clock)}>{shortTime(time * 1000, clock)}</td>
              {frame.lines.map((line) => (
                <td key={line.key} className="figure">
                  {formatValue(line.values[at], unit, clock.locale)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
