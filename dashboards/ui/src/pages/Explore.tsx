// Metrics: several queries over one range, as a chart or as a table, with what they cost.
import { useEffect, useMemo, useState } from 'react';
import { useSearchParams } from '../router';
import { getJson, withParams } from '../api/client';
import type { ApiProblem } from '../api/types';
import { useBatch, type Batch } from '../api/useApi';
import { ChartPanel } from '../chart/ChartPanel';
import { buildFrame, legendText } from '../chart/frame';
import { recentQueries, rememberQuery } from '../editor/history';
import { MetricBrowser } from '../editor/MetricBrowser';
import { QueryInput } from '../editor/QueryInput';
import { count, formatValue, inferUnit, seconds, type Unit } from '../format/units';
import { useWords } from '../i18n';
import { stepped } from '../time/range';
import { useTime } from '../time/TimeContext';
import { Icon } from '../ui/Icon';
import { useParam } from '../ui/links';
import { Choice, Menu } from '../ui/Menu';
import { Empty, Failed, Panel } from '../ui/Panel';
import { Table, type Column } from '../ui/Table';
import { Tabs, useTab } from '../ui/Tabs';
import { LabelChips, Sentence, Time } from './parts';

const VIEWS = ['chart', 'table'] as const;

/** Something to start from on any machine. */
const EXAMPLES = [
  '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m]))',
  'node_memory_MemAvailable_bytes',
  'sum by (instance, device) (rate(node_network_receive_bytes_total[1m]))',
  'up',
];

/** Queries on one page; the server takes no more at once. */
const MOST = 12;

export function Explore() {
  const { t } = useWords();
  const [params, setParams] = useSearchParams();
  const { range, refreshNow } = useTime();
  const asked = params.getAll('q');
  const [drafts, setDrafts] = useState<string[]>(asked.length ? asked : ['']);
  const [browsing, setBrowsing] = useState<number | null>(null);
  const view = useTab(VIEWS, 'view');
  const [scale, setScale] = useParam('scale');

  // A link or "back" brings other queries.
  const askedKey = JSON.stringify(asked);
  useEffect(() => {
    const queries = JSON.parse(askedKey) as string[];
    setDrafts(queries.length ? queries : ['']);
  }, [askedKey]);

  const loaded = useBatch(
    asked.map((expr, at) => ({ id: String(at), expr })),
    stepped(range),
  );
  const problems = asked.map((_, at) => loaded.data?.results.get(String(at))?.error ?? null);

  const run = (queries: string[]) => {
    const wanted = queries.filter((query) => query.trim() !== '');
    wanted.forEach(rememberQuery);
    if (JSON.stringify(wanted) === askedKey) return refreshNow();
    setParams((before) => {
      const next = new URLSearchParams(before);
      next.delete('q');
      wanted.forEach((query) => next.append('q', query));
      return next;
    });
  };
  const change = (at: number, text: string) => setDrafts((before) => before.map((draft, index) => (index === at ? text : draft)));
  const start = (query: string) => {
    setDrafts([query]);
    run([query]);
  };

  return (
    <>
      <div className="queries">
        {drafts.map((draft, at) => (
          <QueryRow
            key={at}
            at={at}
            draft={draft}
            problem={draft === asked[at] ? (problems[at] ?? null) : null}
            removable={drafts.length > 1}
            onChange={(text) => change(at, text)}
            onRun={() => run(drafts)}
            onRemove={() => {
              const rest = drafts.filter((_, index) => index !== at);
              setDrafts(rest);
              run(rest);
            }}
            onBrowse={() => setBrowsing(at)}
          />
        ))}
        <div className="query-tools">
          <button className="button primary" onClick={() => run(drafts)}>
            <Icon name="play" />
            {t('query.run')}
          </button>
          {drafts.length < MOST && (
            <button className="button" onClick={() => setDrafts([...drafts, ''])}>
              <Icon name="plus" />
              {t('query.add')}
            </button>
          )}
          <Recent onPick={start} />
          {asked.length > 0 && (
            <>
              <span className="spring" />
              <label className="menu-check">
                <input type="checkbox" checked={scale === 'log'} onChange={(event) => setScale(event.target.checked ? 'log' : null, { replace: true })} />
                {t('query.log_scale')}
              </label>
              <Tabs name="view" label={t('query.view')} tabs={VIEWS.map((id) => ({ id, title: t(`query.view.${id}`) }))} />
            </>
          )}
        </div>
      </div>
      {asked.length === 0 ? (
        <Start onPick={start} />
      ) : loaded.error && loaded.data === null ? (
        <Failed loaded={loaded} />
      ) : (
        <Results queries={asked} batch={loaded.data} view={view} logScale={scale === 'log'} />
      )}
      {browsing !== null && (
        <MetricBrowser
          onClose={() => setBrowsing(null)}
          onPick={(name) => {
            const draft = drafts[browsing] ?? '';
            const next = drafts.map((text, index) => (index === browsing ? (draft.trim() ? `${draft} ${name}` : name) : text));
            setDrafts(next);
            if (!draft.trim()) run(next);
            setBrowsing(null);
          }}
        />
      )}
    </>
  );
}

interface QueryRowProps {
  at: number;
  draft: string;
  problem: ApiProblem | null;
  removable: boolean;
  onChange: (text: string) => void;
  onRun: () => void;
  onRemove: () => void;
  onBrowse: () => void;
}

function QueryRow({ at, draft, problem, removable, onChange, onRun, onRemove, onBrowse }: QueryRowProps) {
  const { t } = useWords();
  const format = () => {
    getJson<{ data: string }>(withParams('/api/v1/format_query', { query: draft }))
      .then((answer) => onChange(answer.data))
      // What is wrong is shown when it is run.
      .catch(() => onRun());
  };
  return (
    <div className="query-row">
      <span className="query-name" aria-hidden="true">
        {String.fromCharCode(65 + at)}
      </span>
      <QueryInput
        value={draft}
        onChange={onChange}
        onRun={onRun}
        error={problem?.position ?? null}
        problem={problem?.message ?? null}
        label={t('query.label', { name: String.fromCharCode(65 + at) })}
        placeholder={t('query.placeholder')}
      />
      <div className="query-buttons">
        <button className="button quiet" onClick={onBrowse}>
          {t('query.browse')}
        </button>
        <button className="button quiet" onClick={format} disabled={draft.trim() === ''}>
          {t('query.format')}
        </button>
        {removable && (
          <button className="button quiet square" onClick={onRemove} aria-label={t('query.remove', { name: String.fromCharCode(65 + at) })}>
            <Icon name="close" />
          </button>
        )}
      </div>
    </div>
  );
}

function Recent({ onPick }: { onPick: (query: string) => void }) {
  const { t } = useWords();
  const queries = recentQueries();
  if (queries.length === 0) return null;
  return (
    <Menu label={t('query.history')} text={t('query.history')} icon="clock" className="recent">
      {(close) =>
        queries.map((query) => (
          <Choice
            key={query}
            onClick={() => {
              onPick(query);
              close();
            }}
          >
            <code>{query}</code>
          </Choice>
        ))
      }
    </Menu>
  );
}

function Start({ onPick }: { onPick: (query: string) => void }) {
  const { t } = useWords();
  return (
    <>
      <Sentence>{t('query.start')}</Sentence>
      <Panel title={t('query.examples')}>
        <ul className="examples">
          {EXAMPLES.map((query) => (
            <li key={query} data-row tabIndex={-1}>
              <button className="link" onClick={() => onPick(query)}>
                <code>{query}</code>
              </button>
            </li>
          ))}
        </ul>
      </Panel>
    </>
  );
}

function Results({ queries, batch, view, logScale }: { queries: string[]; batch: Batch | null; view: string; logScale: boolean }) {
  const { t, locale } = useWords();
  // What is in different units does not share an axis.
  const charts = useMemo(() => {
    const units = [...new Set(queries.map(inferUnit))];
    return units.map((unit) => {
      const own = queries.map((expr, at) => ({ expr, at })).filter(({ expr }) => inferUnit(expr) === unit);
      const frame =
        batch &&
        buildFrame(
          own.map(({ expr, at }) => ({ result: batch.results.get(String(at)), legend: '', kind: 'line' as const, name: expr })),
          batch.steps,
        );
      return { unit, frame, queries: own.map(({ expr }) => expr), names: own.map(({ at }) => String.fromCharCode(65 + at)).join(', ') };
    });
    // The batch belongs to the queries.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [batch]);
  const results = queries.map((_, at) => batch?.results.get(String(at)));
  const sum = results.reduce(
    (total, result) => ({
      series: total.series + (result?.stats?.series ?? 0),
      samples: total.samples + (result?.stats?.samples ?? 0),
      ms: total.ms + (result?.stats?.ms ?? 0),
    }),
    { series: 0, samples: 0, ms: 0 },
  );
  const warnings = results.flatMap((result) => result?.warnings ?? []);
  const allFailed = batch !== null && results.every((result) => result?.error);
  const cost = t('query.cost', {
    count: sum.series,
    n: count(sum.series, locale),
    samples: count(sum.samples, locale),
    time: seconds(sum.ms / 1000, locale),
  });
  return (
    <>
      {warnings.map((warning) => (
        <p key={warning} className="stale">
          ▲ {warning}
        </p>
      ))}
      {allFailed ? (
        <Empty title={t('query.nothing')} text={t('query.nothing_text')} />
      ) : view === 'table' && batch ? (
        <Panel title={t('query.latest')} note={cost}>
          <LatestTable queries={queries} batch={batch} />
        </Panel>
      ) : (
        charts.map((chart, at) => (
          <ChartPanel
            key={chart.unit}
            title={charts.length > 1 ? t('query.chart_of', { count: chart.queries.length, names: chart.names }) : t('query.chart')}
            note={batch && at === 0 ? cost : ''}
            frame={chart.frame}
            unit={chart.unit}
            queries={chart.queries}
            height={charts.length > 1 ? 240 : 340}
            logScale={logScale}
            here
          />
        ))
      )}
    </>
  );
}

interface Latest {
  key: string;
  query: string;
  labels: Record<string, string>;
  value: number | null;
  unit: Unit;
  timeMs: number | null;
}

/** The last value of each series in the range. */
function LatestTable({ queries, batch }: { queries: string[]; batch: Batch }) {
  const { t, locale } = useWords();
  const rows: Latest[] = queries.flatMap((query, at) =>
    (batch.results.get(String(at))?.matrix ?? []).map((series) => {
      const last = series.points.at(-1);
      const value = last ? Number(last[1]) : NaN;
      return {
        key: `${at} ${legendText('', series.labels)}`,
        query: String.fromCharCode(65 + at),
        labels: series.labels,
        value: Number.isNaN(value) ? null : value,
        unit: inferUnit(query),
        timeMs: last?.[0] ?? null,
      };
    }),
  );
  const columns: Column<Latest>[] = [
    { id: 'query', title: t('column.query'), render: (row) => row.query, sort: (row) => row.query },
    {
      id: 'series',
      title: t('column.series'),
      render: (row) => (
        <>
          {row.labels.__name__ && <b>{row.labels.__name__} </b>}
          <LabelChips labels={row.labels} without={['__name__']} />
        </>
      ),
      sort: (row) => legendText('', row.labels),
      grow: true,
    },
    { id: 'value', title: t('column.value'), render: (row) => formatValue(row.value, row.unit, locale), sort: (row) => row.value, figure: true },
    { id: 'time', title: t('column.time'), render: (row) => <Time ms={row.timeMs} />, figure: true, wideOnly: true },
  ];
  return (
    <Table
      name="latest"
      label={t('query.latest')}
      columns={columns}
      rows={rows}
      rowKey={(row) => row.key}
      order="-value"
      empty={<p className="hint pad">{t('chart.empty')}</p>}
    />
  );
}
