// All services, the unhealthy first.
import { navigate } from '../router';
import { withParams } from '../api/client';
import { useLive } from '../api/live';
import type { ServiceRow } from '../api/types';
import { useApi } from '../api/useApi';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';
import { servicePath, To, useHref, useParam } from '../ui/links';
import { Mark } from '../ui/Mark';
import { Empty, Panel, Ready } from '../ui/Panel';
import { Spark } from '../ui/Spark';
import { Table, type Column } from '../ui/Table';
import { HealthMark, Replicas, Sentence, Value, worst } from './parts';

const ORDER = { critical: 0, warning: 1, unknown: 2, ok: 3 };

export function Services() {
  const { t, say } = useWords();
  const { range } = useTime();
  const [filter, setFilter] = useParam('filter');
  const href = useHref();
  const loaded = useApi<{ services: ServiceRow[] }>(withParams('/api/v1/services', { from_ms: range.fromMs, to_ms: range.toMs }));
  useLive(['services'], loaded.reload);

  const columns: Column<ServiceRow>[] = [
    {
      id: 'service',
      title: t('column.service'),
      render: (row) => (
        <To path={servicePath(row.service)} className="name" title={row.service}>
          {row.service}
        </To>
      ),
      sort: (row) => row.service,
      grow: true,
    },
    { id: 'health', title: t('column.health'), render: (row) => <HealthMark health={row.health} reason={row.health_reason} />, sort: (row) => ORDER[row.health] },
    { id: 'rps', title: t('column.rps'), render: (row) => <Value value={row.rps} unit="rps" />, sort: (row) => row.rps, figure: true },
    {
      id: 'spark',
      title: t('column.trend'),
      render: (row) => <Spark values={row.rps_spark} label={t('service.rps_spark', { service: row.service })} />,
      wideOnly: true,
    },
    { id: 'errors', title: t('column.errors'), render: (row) => <Value value={row.errors_ratio} unit="ratio" />, sort: (row) => row.errors_ratio, figure: true, wideOnly: true },
    { id: 'p95', title: t('column.p95'), render: (row) => <Value value={row.p95_seconds} unit="seconds" />, sort: (row) => row.p95_seconds, figure: true, wideOnly: true },
    { id: 'queue', title: t('column.queue'), render: (row) => <Value value={row.queue} unit="count" />, sort: (row) => row.queue, figure: true, wideOnly: true },
    { id: 'replicas', title: t('column.replicas'), render: (row) => <Replicas row={row} />, sort: (row) => row.replicas_ready, figure: true },
    { id: 'cpu', title: t('column.cpu'), render: (row) => <Value value={row.cpu_cores} unit="cores" />, sort: (row) => row.cpu_cores, figure: true, wideOnly: true },
    { id: 'memory', title: t('column.memory'), render: (row) => <Value value={row.memory_bytes} unit="bytes" />, sort: (row) => row.memory_bytes, figure: true, wideOnly: true },
    {
      id: 'mode',
      title: t('column.scaling'),
      render: (row) => (row.mode ? t(`mode.${row.mode}`) : row.autoscaled ? t('service.autoscaled') : <span className="unknown">{t('service.manual')}</span>),
      wideOnly: true,
    },
    { id: 'owner', title: t('column.owner'), render: (row) => row.owner || row.orchestrator, sort: (row) => row.owner, wideOnly: true },
  ];

  return (
    <Ready loaded={loaded} rows={10}>
      {({ services }) => {
        const bad = services.filter((row) => row.health === 'critical' || row.health === 'warning');
        const wanted = filter.toLowerCase();
        const rows = services.filter((row) => `${row.service} ${row.owner} ${row.cluster} ${row.health}`.toLowerCase().includes(wanted));
        return (
          <>
            <Sentence kind={services.length === 0 ? 'unknown' : bad.length ? worst(bad.map((row) => row.health)) : 'ok'}>
              {services.length === 0
                ? t('services.none')
                : bad.length
                  ? t('services.bad', { bad: bad.length, count: services.length, worst: bad[0]?.service, reason: say(bad[0]?.health_reason ?? '') })
                  : t('services.fine', { count: services.length })}
            </Sentence>
            <Panel
              title={t('nav.services')}
              note={t('count.rows', { count: rows.length })}
              actions={<Filter value={filter} onChange={setFilter} />}
            >
              <Table
                name="services"
                label={t('nav.services')}
                columns={columns}
                rows={rows}
                rowKey={(row) => `${row.cluster} ${row.service}`}
                order="health"
                onOpen={(row) => navigate(href(servicePath(row.service)))}
                empty={
                  filter ? (
                    <Empty title={t('filter.none', { text: filter })} />
                  ) : (
                    <Empty title={t('services.empty.title')} text={t('services.empty.text')} />
                  )
                }
              />
            </Panel>
          </>
        );
      }}
    </Ready>
  );
}

/** Narrows the rows of a page; `f` leads to it. */
export function Filter({ value, onChange }: { value: string; onChange: (value: string | null, options?: { replace?: boolean }) => void }) {
  const { t } = useWords();
  return (
    <input
      type="search"
      data-filter
      className="filter"
      placeholder={t('filter.placeholder')}
      aria-label={t('filter.label')}
      value={value}
      onChange={(event) => onChange(event.target.value, { replace: true })}
    />
  );
}

/** For pages that only need the mark of a service's state in a sentence. */
export function ReadyMark({ ready }: { ready: boolean | null }) {
  const { t } = useWords();
  if (ready === null) return <Mark kind="unknown" />;
  return <Mark kind={ready ? 'ok' : 'warning'} word={t(ready ? 'instance.ready' : 'instance.not_ready')} />;
}
