// What scaled services have cost: replica-hours and their price, by service, team or cluster.
import { useMemo } from 'react';
import { withParams } from '../../api/client';
import type { Ledger, LedgerSum } from '../../api/types';
import { useApi } from '../../api/useApi';
import { ChartPanel } from '../../chart/ChartPanel';
import { download } from '../../chart/frame';
import { dayTime } from '../../format/time';
import { figure, formatValue } from '../../format/units';
import { useWords } from '../../i18n';
import { useTime } from '../../time/TimeContext';
import { scalingPath, To, useParam } from '../../ui/links';
import { Icon } from '../../ui/Icon';
import { Empty, Panel, Ready } from '../../ui/Panel';
import { Table, type Column } from '../../ui/Table';
import { HOUR_MS, hourly, ledgerCsv } from './ledger';

const WAYS = ['service', 'team', 'cluster'] as const;

export function Cost() {
  const { t, locale } = useWords();
  const { range, utc } = useTime();
  const [chosen, setBy] = useParam('by');
  const by = WAYS.find((way) => way === chosen) ?? 'service';
  // The ledger counts whole hours: the one in which the range begins belongs to it.
  const fromMs = Math.floor(range.fromMs / HOUR_MS) * HOUR_MS;
  const span = { from: fromMs / 1000, to: Math.ceil(range.toMs / 1000) };
  const loaded = useApi<Ledger>(withParams('/api/v1/scaling/ledger', { ...span, by }));
  const hours = useApi<Ledger>(withParams('/api/v1/scaling/ledger', { ...span, by: 'hour' }));
  const frame = useMemo(
    () => (hours.data ? hourly(hours.data.rows, hours.data.from_ms, hours.data.to_ms, t('cost.hours')) : null),
    [hours.data, t],
  );
  return (
    <>
      <div className="segments" role="group" aria-label={t('cost.by')}>
        {WAYS.map((way) => (
          <button key={way} aria-pressed={by === way} onClick={() => setBy(way === 'service' ? null : way)}>
            {t(`cost.by.${way}`)}
          </button>
        ))}
      </div>
      <Ready loaded={loaded} rows={8}>
        {(ledger) => (
          <>
            {ledger.rows.length > 0 && (
              <p className="scaling-status">
                {t(ledger.total.cost > 0 ? 'cost.sentence' : 'cost.sentence_free', {
                  from: dayTime(ledger.from_ms, { locale, utc }),
                  to: dayTime(ledger.to_ms, { locale, utc }),
                  hours: figure(ledger.total.replica_seconds / 3600, locale),
                  cost: money(ledger.total.cost, locale),
                })}
              </p>
            )}
            <Sums ledger={ledger} />
          </>
        )}
      </Ready>
      {frame && frame.lines.length > 0 && <ChartPanel title={t('cost.chart')} frame={frame} unit="count" queries={[]} here height={150} />}
    </>
  );
}

/** Two decimals; the configuration says of what. */
function money(value: number, locale: string): string {
  return new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value);
}

function Sums({ ledger }: { ledger: Ledger }) {
  const { t, locale } = useWords();
  const all = ledger.total.replica_seconds;
  const columns: Column<LedgerSum>[] = [
    {
      id: 'key',
      title: t(`cost.by.${ledger.by}`),
      render: (row) =>
        row.key === '' ? (
          <span className="unknown">{t('cost.nobody')}</span>
        ) : ledger.by === 'service' ? (
          <To path={scalingPath(row.key)} className="name" title={row.key}>
            {row.key}
          </To>
        ) : (
          <span className="name" title={row.key}>
            {row.key}
          </span>
        ),
      sort: (row) => row.key,
      grow: true,
    },
    { id: 'hours', title: t('cost.hours'), render: (row) => figure(row.replica_seconds / 3600, locale), sort: (row) => row.replica_seconds, figure: true },
    {
      id: 'share',
      title: t('column.share'),
      render: (row) => formatValue(all > 0 ? row.replica_seconds / all : null, 'ratio', locale),
      sort: (row) => row.replica_seconds,
      figure: true,
      wideOnly: true,
    },
    { id: 'cost', title: t('cost.cost'), render: (row) => (row.cost > 0 ? money(row.cost, locale) : '–'), sort: (row) => row.cost, figure: true },
  ];
  const save = () => download(`tidewatch-cost-by-${ledger.by}.csv`, 'text/csv', ledgerCsv(ledger.by, ledger.rows));
  return (
    <Panel
      title={t(`cost.by.${ledger.by}`)}
      note={t('count.rows', { count: ledger.rows.length })}
      actions={
        ledger.rows.length > 0 && (
          <button className="button small" onClick={save}>
            <Icon name="download" size={14} />
            {t('chart.csv')}
          </button>
        )
      }
    >
      <Table
        name="ledger"
        label={t('scaling.view.cost')}
        columns={columns}
        rows={ledger.rows}
        rowKey={(row) => row.key}
        order="-hours"
        empty={<Empty title={t('cost.none')} text={t('cost.none_text')} />}
      />
    </Panel>
  );
}
