// What the series are: the metrics and labels that make most of them, and which are new.
import { useMemo } from 'react';
import { withParams } from '../api/client';
import type { Cardinality } from '../api/types';
import { useApi } from '../api/useApi';
import { shortTime } from '../format/time';
import { count } from '../format/units';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';
import { explorePath, To } from '../ui/links';
import { Panel, Ready } from '../ui/Panel';
import { Spark } from '../ui/Spark';
import { Table, type Column } from '../ui/Table';

interface Row {
  name: string;
  n: number;
}

/** Rows of each list. */
const ROWS = 20;

export function CardinalityPanels() {
  const { t, locale } = useWords();
  const loaded = useApi<Cardinality>(withParams('/api/v1/cardinality', { limit: ROWS }));
  return (
    <Ready loaded={loaded}>
      {(data) => (
        <>
          <div className="columns halves">
            <Panel title={t('cardinality.metrics')} note={t('cardinality.note', { count: data.series, n: count(data.series, locale) })}>
              <Counts id="cardinality" title={t('cardinality.metrics')} what={t('column.metric')} unit={t('column.series')} rows={data.metrics.map(({ name, series }) => ({ name, n: series }))} queryOf={(name) => name} />
            </Panel>
            <Panel title={t('cardinality.labels')}>
              <Counts id="labels" title={t('cardinality.labels')} what={t('column.label')} unit={t('column.values')} rows={data.labels.map(({ name, values }) => ({ name, n: values }))} />
            </Panel>
          </div>
          {data.pairs && data.churn && (
            <div className="columns halves">
              <Panel title={t('cardinality.churn')} note={t('cardinality.churn_note')}>
                <Hours hours={data.churn.hours} />
                <Counts id="churn" title={t('cardinality.churn')} what={t('column.metric')} unit={t('column.new_series')} rows={data.churn.metrics.map(({ name, created }) => ({ name, n: created }))} queryOf={(name) => name} />
              </Panel>
              <Panel title={t('cardinality.pairs')}>
                <Counts id="pairs" title={t('cardinality.pairs')} what={t('column.pair')} unit={t('column.series')} rows={data.pairs.map(({ name, series }) => ({ name, n: series }))} queryOf={pairQuery} />
              </Panel>
            </div>
          )}
        </>
      )}
    </Ready>
  );
}

/** `label=value` as the query that counts its series. */
export function pairQuery(pair: string): string {
  const at = pair.indexOf('=');
  return `count({${pair.slice(0, at)}=${JSON.stringify(pair.slice(at + 1))}})`;
}

interface CountsProps {
  id: string;
  title: string;
  what: string;
  unit: string;
  rows: Row[];
  /** The query that shows a row's series. */
  queryOf?: (name: string) => string;
}

function Counts({ id, title, what, unit, rows, queryOf }: CountsProps) {
  const { locale } = useWords();
  const columns = useMemo<Column<Row>[]>(
    () => [
      {
        id: 'name',
        title: what,
        render: (row) =>
          queryOf ? (
            <To path={explorePath(queryOf(row.name))} className="name">
              <code>{row.name}</code>
            </To>
          ) : (
            <code>{row.name}</code>
          ),
        sort: (row) => row.name,
        grow: true,
      },
      { id: 'n', title: unit, render: (row) => count(row.n, locale), sort: (row) => row.n, figure: true },
    ],
    [what, unit, queryOf, locale],
  );
  return <Table name={id} label={title} columns={columns} rows={rows} rowKey={(row) => row.name} order="-n" />;
}

/** New series by hour, as bars, with the number of the hour that runs. */
function Hours({ hours }: { hours: { start_ms: number; created: number }[] }) {
  const { t, locale } = useWords();
  const { utc } = useTime();
  const last = hours.at(-1);
  if (!last) return <p className="hint pad">{t('cardinality.churn_none')}</p>;
  const said = t('cardinality.churn_hour', { time: shortTime(last.start_ms, { locale, utc }), count: last.created, n: count(last.created, locale) });
  return (
    <p className="pad">
      <Spark values={hours.slice(-24).map((hour) => hour.created)} label={t('cardinality.churn')} width={240} height={36} bars /> {said}
    </p>
  );
}
