// All scaled services, or the chosen one.
import type { ScaledService } from '../../api/types';
import { useWords } from '../../i18n';
import { scalingPath, To, useParam } from '../../ui/links';
import { Empty, Panel } from '../../ui/Panel';
import { Table, type Column } from '../../ui/Table';
import type { ScalingData } from '../Autoscaling';
import { Time } from '../parts';
import { Filter } from '../Services';
import { HeldMark } from './held';
import { NEW_POLICY, policyPath } from './paths';
import { ScaledOne } from './ScaledOne';

export function ScaledServices({ data, reload }: { data: ScalingData; reload: () => void }) {
  const { t } = useWords();
  const [chosen, setChosen] = useParam('service');
  const { services, stopped } = data;
  // With one service there is nothing to choose.
  const service = services.find((candidate) => candidate.service === chosen) ?? (services.length === 1 ? services[0] : undefined);
  if (services.length === 0) {
    return (
      <Panel>
        <Empty title={t('scaling.empty.title')} text={t('scaling.empty.text')}>
          <To className="button primary" path={policyPath(NEW_POLICY)}>
            {t('policies.new')}
          </To>
        </Empty>
      </Panel>
    );
  }
  if (!service) return <List services={services} missing={chosen} />;
  return (
    <>
      {services.length > 1 && (
        <button className="link back" onClick={() => setChosen(null)}>
          ← {t('scaling.all')}
        </button>
      )}
      <ScaledOne key={service.service} service={service} stopped={stopped !== null} reload={reload} />
    </>
  );
}

function List({ services, missing }: { services: ScaledService[]; missing: string }) {
  const { t, say } = useWords();
  const [, setChosen] = useParam('service');
  const [filter, setFilter] = useParam('filter');
  const wanted = filter.toLowerCase();
  const rows = services.filter((row) => `${row.service} ${row.policy} ${row.cluster} ${row.orchestrator} ${row.mode}`.toLowerCase().includes(wanted));
  const columns: Column<ScaledService>[] = [
    {
      id: 'service',
      title: t('column.service'),
      render: (row) => (
        <To path={scalingPath(row.service)} className="name" title={row.service}>
          {row.service}
        </To>
      ),
      sort: (row) => row.service,
    },
    { id: 'mode', title: t('scaling.mode'), render: (row) => t(`mode.${row.mode}`), sort: (row) => row.mode },
    {
      id: 'replicas',
      title: t('column.replicas'),
      render: (row) => (
        <>
          {row.ready ?? '?'}/{row.wanted ?? '?'}{' '}
          <small className="bounds">
            {row.min}–{row.max}
          </small>
        </>
      ),
      sort: (row) => row.wanted,
      figure: true,
    },
    { id: 'held', title: t('column.held'), render: (row) => <HeldMark service={row} />, sort: (row) => (row.held.frozen_since_ms === null ? 1 : 0), wideOnly: true },
    { id: 'status', title: t('column.status'), render: (row) => <span title={say(row.status)}>{say(row.status)}</span>, grow: true, wideOnly: true },
    { id: 'round', title: t('scaling.last_round'), render: (row) => <Time ms={row.last_round_ms} relative />, sort: (row) => row.last_round_ms, wideOnly: true },
    { id: 'orchestrator', title: t('column.orchestrator'), render: (row) => row.orchestrator, sort: (row) => row.orchestrator, optional: true },
    { id: 'cluster', title: t('column.cluster'), render: (row) => row.cluster, sort: (row) => row.cluster, optional: true },
  ];
  return (
    <Panel title={t('scaling.services')} note={t('count.rows', { count: rows.length })} actions={<Filter value={filter} onChange={setFilter} />}>
      {missing && <p className="note pad">{t('scaling.no_such', { service: missing })}</p>}
      <Table
        name="scaled"
        label={t('scaling.services')}
        columns={columns}
        rows={rows}
        rowKey={(row) => `${row.cluster} ${row.service}`}
        order="service"
        onOpen={(row) => setChosen(row.service)}
        empty={<Empty title={t('filter.none', { text: filter })} />}
      />
    </Panel>
  );
}
