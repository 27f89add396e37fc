// All scaling policies: those of the configuration file, and those that people keep here.
import { navigate } from '../../router';
import type { PolicyObject } from '../../api/types';
import { useApi } from '../../api/useApi';
import { usePolicyWords, useWords } from '../../i18n';
import { To, useHref, useParam } from '../../ui/links';
import { Icon } from '../../ui/Icon';
import { Mark } from '../../ui/Mark';
import { Empty, Panel, Ready } from '../../ui/Panel';
import { Table, type Column } from '../../ui/Table';
import { Time } from '../parts';
import { Filter } from '../Services';
import { NEW_POLICY, policyPath } from './paths';

export function Policies() {
  usePolicyWords();
  const loaded = useApi<{ policies: PolicyObject[] }>('/api/v1/scaling/policies');
  return <Ready loaded={loaded}>{(data) => <List policies={data.policies} />}</Ready>;
}

/** A number of the policy as it is written; `–` when it is not there. */
function bound(policy: unknown, name: 'min' | 'max'): string {
  const value = (policy as Record<string, unknown> | null)?.[name];
  return typeof value === 'number' ? String(value) : name === 'min' ? '1' : '–';
}

function List({ policies }: { policies: PolicyObject[] }) {
  const { t, say } = useWords();
  const href = useHref();
  const [filter, setFilter] = useParam('filter');
  const wanted = filter.toLowerCase();
  const rows = policies.filter((row) => `${row.name} ${row.service} ${row.actor}`.toLowerCase().includes(wanted));
  const columns: Column<PolicyObject>[] = [
    {
      id: 'name',
      title: t('column.policy'),
      render: (row) => (
        <To path={policyPath(row.name)} className="name" title={row.name}>
          {row.name}
        </To>
      ),
      sort: (row) => row.name,
    },
    { id: 'service', title: t('column.service'), render: (row) => <span className="name">{row.service || '–'}</span>, sort: (row) => row.service, wideOnly: true },
    { id: 'bounds', title: t('policies.bounds'), render: (row) => `${bound(row.policy, 'min')}–${bound(row.policy, 'max')}`, figure: true },
    {
      id: 'state',
      title: t('column.state'),
      render: (row) => (row.problem ? <Mark kind="critical" word={t('policies.not_in_force')} /> : <Mark kind="ok" word={t('policies.in_force')} />),
      sort: (row) => (row.problem ? 0 : 1),
    },
    {
      id: 'from',
      title: t('policies.from'),
      render: (row) => (row.from_file ? t('policies.file') : t('policies.version', { version: String(row.version) })),
      sort: (row) => row.version,
      wideOnly: true,
    },
    {
      id: 'changed',
      title: t('policies.changed'),
      render: (row) =>
        row.from_file ? (
          '–'
        ) : (
          <>
            <Time ms={row.updated_at_ms} relative /> · {row.actor}
          </>
        ),
      sort: (row) => row.updated_at_ms,
      wideOnly: true,
    },
    { id: 'problem', title: t('column.problem'), render: (row) => <span title={say(row.problem)}>{say(row.problem)}</span>, grow: true, wideOnly: true },
  ];
  return (
    <Panel
      title={t('scaling.view.policies')}
      note={t('count.rows', { count: rows.length })}
      actions={
        <>
          {policies.length > 1 && <Filter value={filter} onChange={setFilter} />}
          <To className="button small primary" path={policyPath(NEW_POLICY)}>
            <Icon name="plus" size={14} />
            {t('policies.new')}
          </To>
        </>
      }
    >
      <Table
        name="policies"
        label={t('scaling.view.policies')}
        columns={columns}
        rows={rows}
        rowKey={(row) => row.name}
        order="name"
        onOpen={(row) => navigate(href(policyPath(row.name)))}
        empty={filter ? <Empty title={t('filter.none', { text: filter })} /> : <Empty title={t('scaling.empty.title')} text={t('policies.empty_text')} />}
      />
    </Panel>
  );
}
