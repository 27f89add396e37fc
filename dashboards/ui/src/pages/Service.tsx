// One service: how it is, its four charts with what was done to it, its instances, its policy, its alerts, its logs.
import type { ReactNode } from 'react';
import { useParams } from '../router';
import { withParams } from '../api/client';
import { useLive } from '../api/live';
import type { Instance, ServiceDetail } from '../api/types';
import { useApi } from '../api/useApi';
import { Board } from '../chart/Board';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';
import { logsPath, scalingPath, To } from '../ui/links';
import { Mark } from '../ui/Mark';
import { Panel, Ready } from '../ui/Panel';
import { Table, type Column } from '../ui/Table';
import { DecisionList } from './decisions';
import { AlertList, Changes, Facts, HostLink, Replicas, Sentence, Value } from './parts';
import { Carries } from './scaling/Carries';
import { NEW_POLICY, policyPath } from './scaling/paths';
import { ReadyMark } from './Services';

export function Service() {
  const { service = '' } = useParams();
  const { range } = useTime();
  const loaded = useApi<ServiceDetail>(
    withParams(`/api/v1/services/${encodeURIComponent(service)}`, { from_ms: range.fromMs, to_ms: range.toMs }),
  );
  useLive(['services', 'decision'], loaded.reload);
  return (
    <Ready loaded={loaded} rows={10}>
      {(data) => <Body data={data} reload={loaded.reload} />}
    </Ready>
  );
}

function Body({ data, reload }: { data: ServiceDetail; reload: () => void }) {
  const { t, say } = useWords();
  const { service: row, policy } = data;
  return (
    <>
      <Sentence
        kind={row.health}
        aside={
          <div className="links">
            <To path={logsPath(`service:"${row.service}"`)}>{t('service.logs')}</To>
            {row.autoscaled && <To path={scalingPath(row.service)}>{t('service.scaling')}</To>}
          </div>
        }
      >
        <b className="subject">{row.service}</b> {say(row.health_reason) || t(`health.${row.health}`)}
      </Sentence>
      <Facts
        facts={[
          [t('column.rps'), <Value key="v" value={row.rps} unit="rps" />],
          [t('column.errors'), <Value key="v" value={row.errors_ratio} unit="ratio" />],
          [t('column.p95'), <Value key="v" value={row.p95_seconds} unit="seconds" />],
          [t('column.replicas'), <Replicas key="v" row={row} />],
          [t('column.cpu'), <Value key="v" value={row.cpu_cores} unit="cores" />],
          [t('column.memory'), <Value key="v" value={row.memory_bytes} unit="bytes" />],
          [t('column.orchestrator'), row.orchestrator || '–'],
          [t('column.cluster'), row.cluster || '–'],
          ...(policy?.capacity ? [[t('column.carries'), <Carries key="v" capacity={policy.capacity} />] as [string, ReactNode]] : []),
        ]}
      />
      {data.alerts.length > 0 && (
        <Panel title={t('service.alerts')}>
          <AlertList alerts={data.alerts} />
        </Panel>
      )}
      <Board charts={data.charts} events={data.changes} />
      <Panel title={t('service.instances')} note={t('count.rows', { count: data.instances.length })}>
        <Instances rows={data.instances} />
      </Panel>
      <div className="columns two-one">
        <Panel
          title={t('service.decisions')}
          actions={row.autoscaled && <To path={scalingPath(row.service)}>{t('service.scaling')}</To>}
        >
          {policy && (
            <p className="pad">
              <b>{t(`mode.${policy.mode}`)}</b> · {policy.targets.map(say).join(' · ')} · {say(policy.status)}
            </p>
          )}
          {data.decisions.length > 0 ? (
            <DecisionList decisions={data.decisions} onChanged={reload} />
          ) : (
            <p className="hint pad">
              {t(row.autoscaled ? 'decisions.none' : 'service.not_scaled')}{' '}
              {!row.autoscaled && <To path={policyPath(NEW_POLICY, row.service)}>{t('service.scale_it')}</To>}
            </p>
          )}
        </Panel>
        <Panel title={t('overview.changes')}>
          <Changes changes={data.changes} limit={10} />
        </Panel>
      </div>
    </>
  );
}

function Instances({ rows }: { rows: Instance[] }) {
  const { t } = useWords();
  const columns: Column<Instance>[] = [
    {
      id: 'id',
      title: t('column.instance'),
      render: (row) => (
        <>
          <span className="name" title={row.servers.filter((server) => server !== row.id).join(', ') || undefined}>
            {row.id}
          </span>
          {row.odd && (
            <>
              {' '}
              <Mark kind="warning" word={t('instance.odd')} />
            </>
          )}
        </>
      ),
      sort: (row) => row.id,
      grow: true,
    },
    { id: 'ready', title: t('column.state'), render: (row) => <ReadyMark ready={row.ready} /> },
    { id: 'host', title: t('column.host'), render: (row) => <HostLink host={row.host} />, sort: (row) => row.host, wideOnly: true },
    { id: 'address', title: t('column.address'), render: (row) => <code>{row.address}</code>, wideOnly: true },
    { id: 'rps', title: t('column.rps'), render: (row) => <Value value={row.rps} unit="rps" />, sort: (row) => row.rps, figure: true },
    { id: 'errors', title: t('column.errors'), render: (row) => <Value value={row.errors_ratio} unit="ratio" />, figure: true, wideOnly: true },
    { id: 'p95', title: t('column.p95'), render: (row) => <Value value={row.p95_seconds} unit="seconds" />, sort: (row) => row.p95_seconds, figure: true, wideOnly: true },
    { id: 'cpu', title: t('column.cpu'), render: (row) => <Value value={row.cpu_cores} unit="cores" />, sort: (row) => row.cpu_cores, figure: true, wideOnly: true },
    { id: 'memory', title: t('column.memory'), render: (row) => <Value value={row.memory_bytes} unit="bytes" />, figure: true, wideOnly: true },
  ];
  return (
    <Table
      name="instances"
      label={t('service.instances')}
      columns={columns}
      rows={rows}
      // A server may be called like another one's replica.
      rowKey={(row) => `${row.id} ${row.servers}`}
      order="id"
      empty={<p className="hint pad">{t('instances.none')}</p>}
    />
  );
}
