// How Tidewatch itself does: memory by share, the store, its tasks, its configuration, its series.
import { useState } from 'react';
import { sendJson } from '../api/client';
import type { ProcessStatus, Task } from '../api/types';
import { useApi } from '../api/useApi';
import { count, formatValue, seconds } from '../format/units';
import { useWords, type Translate } from '../i18n';
import { useSession } from '../frame/session';
import { Mark } from '../ui/Mark';
import { Panel, Ready } from '../ui/Panel';
import { Meter } from '../ui/Spark';
import { Table, type Column } from '../ui/Table';
import { CardinalityPanels } from './Cardinality';
import { Facts, Sentence, Time } from './parts';

export function Status() {
  const loaded = useApi<ProcessStatus>('/api/v1/status');
  return (
    <Ready loaded={loaded} rows={10}>
      {(status) => <Body status={status} reload={loaded.reload} />}
    </Ready>
  );
}

function Body({ status, reload }: { status: ProcessStatus; reload: () => void }) {
  const { t, has, locale, say } = useWords();
  const session = useSession();
  const { store } = status;
  const failed = status.tasks.filter((task) => task.failed);
  const refusing = store.refusing_writes !== '';
  const problems = [
    ...(refusing ? [store.refusing_writes] : []),
    ...(status.config_problem ? [status.config_problem] : []),
    ...store.damaged,
    ...status.warnings.map(say),
  ];
  const bytes = (value: number) => formatValue(value, 'bytes', locale);
  return (
    <>
      <Sentence kind={refusing || failed.length ? 'critical' : problems.length ? 'warning' : 'ok'}>
        {refusing
          ? t('status.refusing', { reason: store.refusing_writes })
          : failed.length
            ? t('status.task_failed', { task: taskName(failed[0]?.name ?? '', t), reason: say(failed[0]?.last_result ?? '') })
            : t('status.fine', {
                resident: bytes(status.resident_bytes),
                limit: bytes(status.memory_limit_bytes),
                series: count(store.head_series, locale),
                warnings: problems.length ? t('status.warnings', { count: problems.length }) : t('status.no_warnings'),
              })}
      </Sentence>
      {problems.length > 0 && (
        <Panel title={t('status.problems')}>
          <ul className="problems">
            {problems.map((problem) => (
              <li key={problem}>
                <Mark kind="warning" bare />
                <span>{problem}</span>
              </li>
            ))}
          </ul>
        </Panel>
      )}
      <Facts
        facts={[
          [t('status.version'), status.version],
          [t('status.started'), <Time key="v" ms={status.started_at_ms} />],
          [t('status.tenant'), session?.tenant ?? '–'],
          [t('status.data_dir'), <code key="v">{status.data_dir}</code>],
          [t('status.config_file'), status.config_file ? <code key="v">{status.config_file}</code> : t('status.no_config')],
          [t('status.config_loaded'), <Time key="v" ms={status.config_loaded_at_ms} />],
        ]}
      />
      <div className="columns halves">
        <Panel title={t('status.memory')} note={t('status.memory_note', { used: bytes(status.resident_bytes), limit: bytes(status.memory_limit_bytes) })}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t('column.memory_share')}</th>
                <th scope="col" className="figure">
                  {t('column.used')}
                </th>
                <th scope="col" className="figure">
                  {t('column.limit')}
                </th>
              </tr>
            </thead>
            <tbody>
              {status.memory.map((pool) => {
                const ratio = pool.limit_bytes ? pool.used_bytes / pool.limit_bytes : null;
                return (
                  <tr key={pool.name}>
                    <td>{has(`memory.${pool.name}`) ? t(`memory.${pool.name}`) : pool.name}</td>
                    <td className="figure">
                      <Meter ratio={ratio} text={bytes(pool.used_bytes)} kind={ratio !== null && ratio > 0.9 ? 'warning' : undefined} />
                    </td>
                    <td className="figure">{bytes(pool.limit_bytes)}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </Panel>
        <Panel title={t('status.store')} actions={<StoreActions onDone={reload} />}>
          <Facts
            facts={[
              [t('store.head_series'), count(store.head_series, locale)],
              [t('store.head_samples'), count(store.head_samples, locale)],
              [t('store.oldest'), <Time key="v" ms={store.head_min_time_ms} />],
              [t('store.blocks'), `${count(store.blocks, locale)} · ${bytes(store.blocks_bytes)}`],
              [t('store.metrics_wal'), bytes(store.metrics_wal_bytes)],
              [t('store.head_records'), count(store.head_records, locale)],
              [t('store.split_records'), count(store.split_records, locale)],
              [t('store.splits'), `${count(store.splits, locale)} · ${bytes(store.splits_bytes)}`],
              [t('store.logs_wal'), bytes(store.logs_wal_bytes)],
            ]}
          />
        </Panel>
      </div>
      <Panel title={t('status.tasks')}>
        <Tasks rows={status.tasks} />
      </Panel>
      <CardinalityPanels />
      <Panel title={t('status.config')} note={t('status.config_note')} actions={<Reload onDone={reload} />}>
        <pre className="config" tabIndex={0}>
          {status.config_yaml}
        </pre>
      </Panel>
    </>
  );
}

/** Runs an action of the server and says how it went. */
function useAction(onDone: () => void): [string, (id: string, path: string) => void] {
  const { t } = useWords();
  const [word, setWord] = useState('');
  const run = (id: string, path: string) => {
    setWord(t('status.running'));
    sendJson(path, {})
      .then(() => {
        setWord(t(`status.done.${id}`));
        onDone();
      })
      .catch((cause: Error) => setWord(cause.message));
  };
  return [word, run];
}

function StoreActions({ onDone }: { onDone: () => void }) {
  const { t } = useWords();
  const [word, run] = useAction(onDone);
  return (
    <>
      <span className="panel-note" role="status">
        {word}
      </span>
      <button className="button small" onClick={() => run('flush', '/api/v1/admin/flush')} title={t('status.flush_title')}>
        {t('status.flush')}
      </button>
      <button className="button small" onClick={() => run('compact', '/api/v1/admin/compact')} title={t('status.compact_title')}>
        {t('status.compact')}
      </button>
    </>
  );
}

function Reload({ onDone }: { onDone: () => void }) {
  const { t } = useWords();
  const [word, run] = useAction(onDone);
  return (
    <>
      <span className="panel-note" role="status">
        {word}
      </span>
      <button className="button small" onClick={() => run('reload', '/api/v1/admin/reload')}>
        {t('status.reload')}
      </button>
    </>
  );
}

function Tasks({ rows }: { rows: Task[] }) {
  const { t, locale, say } = useWords();
  const columns: Column<Task>[] = [
    { id: 'name', title: t('column.task'), render: (row) => <b>{taskName(row.name, t)}</b>, sort: (row) => row.name },
    {
      id: 'state',
      title: t('column.state'),
      render: (row) =>
        row.failed ? <Mark kind="critical" word={t('task.failed')} /> : row.last_run_ms === null ? <Mark kind="unknown" word={t('task.waiting')} /> : <Mark kind="ok" word={t('task.ok')} />,
      sort: (row) => (row.failed ? 0 : 1),
    },
    { id: 'last', title: t('column.last'), render: (row) => <Time ms={row.last_run_ms} relative />, sort: (row) => row.last_run_ms, figure: true },
    { id: 'interval', title: t('column.interval'), render: (row) => seconds(row.interval_seconds, locale), sort: (row) => row.interval_seconds, figure: true, wideOnly: true },
    { id: 'took', title: t('column.took'), render: (row) => (row.last_run_ms === null ? '–' : seconds(row.last_seconds, locale)), sort: (row) => row.last_seconds, figure: true, wideOnly: true },
    { id: 'result', title: t('column.result'), render: (row) => <span className="wrap">{say(row.last_result)}</span>, grow: true, wideOnly: true },
  ];
  return <Table name="tasks" label={t('status.tasks')} columns={columns} rows={rows} rowKey={(row) => row.name} order="name" />;
}

/** What a periodic task does, in the page's words; its own name when it is a new one. */
function taskName(name: string, t: Translate): string {
  if (name === 'analysis') return t('task.name.analysis');
  if (name === 'log patterns') return t('task.name.log_patterns');
  return name.startsWith('rules ') ? t('task.name.rules', { group: name.slice('rules '.length) }) : name;
}
