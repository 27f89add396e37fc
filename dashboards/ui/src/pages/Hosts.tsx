// All hosts: a strip of heat per resource, then the table.
import { navigate } from '../router';
import type { HostRow } from '../api/types';
import { useApi } from '../api/useApi';
import { withParams } from '../api/client';
import { formatValue, seconds } from '../format/units';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';
import { hostPath, To, useHref, useParam } from '../ui/links';
import { Empty, Panel, Ready } from '../ui/Panel';
import { Meter, Spark } from '../ui/Spark';
import { Table, type Column } from '../ui/Table';
import { HealthMark, Sentence, Time, Value, worst } from './parts';
import { Filter } from './Services';

const ORDER = { critical: 0, warning: 1, unknown: 2, ok: 3 };

/** Above these a meter is marked. */
const HIGH = { warning: 0.8, critical: 0.93 };

export function Ratio({ value }: { value: number | null }) {
  const { locale } = useWords();
  const kind = value === null || value < HIGH.warning ? undefined : value < HIGH.critical ? 'warning' : 'critical';
  return <Meter ratio={value} text={formatValue(value, 'ratio', locale)} kind={kind} />;
}

export function Hosts() {
  const { t, locale, say } = useWords();
  const [filter, setFilter] = useParam('filter');
  const href = useHref();
  const { range } = useTime();
  const loaded = useApi<{ hosts: HostRow[] }>(withParams('/api/v1/hosts', { from_ms: range.fromMs, to_ms: range.toMs }));

  const columns: Column<HostRow>[] = [
    {
      id: 'host',
      title: t('column.host'),
      render: (row) => (
        <To path={hostPath(row.host)} className="name" title={row.host}>
          {row.host}
        </To>
      ),
      sort: (row) => row.host,
      grow: true,
    },
    { id: 'health', title: t('column.health'), render: (row) => <HealthMark health={row.health} reason={row.health_reason} />, sort: (row) => ORDER[row.health] },
    { id: 'cpu', title: t('column.cpu'), render: (row) => <Ratio value={row.cpu_ratio} />, sort: (row) => row.cpu_ratio, figure: true },
    { id: 'spark', title: t('column.trend'), render: (row) => <Spark values={row.cpu_spark} label={t('host.cpu_spark', { host: row.host })} width={72} />, wideOnly: true },
    { id: 'memory', title: t('column.memory'), render: (row) => <Ratio value={row.memory_ratio} />, sort: (row) => row.memory_ratio, figure: true },
    { id: 'disk', title: t('column.disk'), render: (row) => <Ratio value={row.disk_ratio} />, sort: (row) => row.disk_ratio, figure: true, wideOnly: true },
    { id: 'pressure', title: t('column.pressure'), render: (row) => <Value value={row.pressure_ratio} unit="ratio" />, sort: (row) => row.pressure_ratio, figure: true, wideOnly: true },
    { id: 'load', title: t('column.load'), render: (row) => <Value value={row.load1} unit="none" />, sort: (row) => row.load1, figure: true, wideOnly: true, optional: true },
    { id: 'net', title: t('column.network'), render: (row) => <Value value={row.net_bytes_per_second} unit="bytes_per_second" />, sort: (row) => row.net_bytes_per_second, figure: true, wideOnly: true },
    { id: 'containers', title: t('column.containers'), render: (row) => <Value value={row.containers} unit="count" />, sort: (row) => row.containers, figure: true, wideOnly: true },
    { id: 'size', title: t('column.size'), render: (row) => t('host.size', { cores: row.cores ?? '?', memory: formatValue(row.memory_bytes, 'bytes', locale) }), sort: (row) => row.memory_bytes, wideOnly: true },
    { id: 'uptime', title: t('column.uptime'), render: (row) => (row.uptime_seconds === null ? '–' : seconds(row.uptime_seconds, locale)), sort: (row) => row.uptime_seconds, figure: true, wideOnly: true },
    { id: 'seen', title: t('column.last'), render: (row) => <Time ms={row.last_seen_ms} relative />, sort: (row) => row.last_seen_ms, figure: true, wideOnly: true, optional: true },
  ];

  return (
    <Ready loaded={loaded} rows={10}>
      {({ hosts }) => {
        const bad = hosts.filter((row) => row.health === 'critical' || row.health === 'warning');
        const wanted = filter.toLowerCase();
        const rows = hosts.filter((row) => `${row.host} ${row.cluster} ${row.room} ${row.rack} ${row.os ?? ''}`.toLowerCase().includes(wanted));
        return (
          <>
            <Sentence kind={hosts.length === 0 ? 'unknown' : bad.length ? worst(bad.map((row) => row.health)) : 'ok'}>
              {hosts.length === 0
                ? t('hosts.none')
                : bad.length
                  ? t('hosts.bad', { bad: bad.length, count: hosts.length, worst: bad[0]?.host, reason: say(bad[0]?.health_reason ?? '') })
                  : t('hosts.fine', { count: hosts.length })}
            </Sentence>
            {rows.length > 1 && <HeatStrips hosts={rows} />}
            <Panel title={t('nav.hosts')} note={t('count.rows', { count: rows.length })} actions={<Filter value={filter} onChange={setFilter} />}>
              <Table
                name="hosts"
                label={t('nav.hosts')}
                columns={columns}
                rows={rows}
                rowKey={(row) => row.host}
                order="health"
                onOpen={(row) => navigate(href(hostPath(row.host)))}
                empty={filter ? <Empty title={t('filter.none', { text: filter })} /> : <Empty title={t('hosts.empty.title')} text={t('hosts.empty.text')} />}
              />
            </Panel>
          </>
        );
      }}
    </Ready>
  );
}

/** Cells shown in a strip: the hosts that have least room. */
const CELLS = 64;

function HeatStrips({ hosts }: { hosts: HostRow[] }) {
  const { t, locale } = useWords();
  const resources = [
    ['cpu', t('column.cpu')],
    ['memory', t('column.memory')],
    ['disk', t('column.disk')],
    ['pressure', t('column.pressure')],
  ] as const;
  const hottest = (row: HostRow) => Math.max(row.cpu_ratio ?? 0, row.memory_ratio ?? 0, row.disk_ratio ?? 0);
  const shown = hosts.length > CELLS ? [...hosts].sort((a, b) => hottest(b) - hottest(a)).slice(0, CELLS) : hosts;
  return (
    <Panel title={t('hosts.heat')} note={hosts.length > CELLS ? t('hosts.heat_top', { count: CELLS }) : t('hosts.heat_note')}>
      <div className="heat">
        {resources.map(([id, title]) => (
          <div key={id} className="heat-row">
            <span>{title}</span>
            <div>
              {shown.map((row) => {
                const value = row[`${id}_ratio`];
                const level = value === null ? 'none' : Math.min(4, Math.floor(value * 5));
                return (
                  <To
                    key={row.host}
                    path={hostPath(row.host)}
                    className={`heat-cell heat-${level}`}
                    title={`${row.host}: ${title} ${formatValue(value, 'ratio', locale)}`}
                  >
                    <span>{value === null ? '–' : Math.round(value * 100)}</span>
                  </To>
                );
              })}
            </div>
          </div>
        ))}
      </div>
    </Panel>
  );
}
