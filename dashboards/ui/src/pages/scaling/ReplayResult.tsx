// What a replay came to: a sentence, a table of the ways to scale, the load and the replicas over time.
import { useMemo } from 'react';
import type { Replay, ReplayOutcome } from '../../api/types';
import { ChartPanel } from '../../chart/ChartPanel';
import { figure, formatValue, seconds } from '../../format/units';
import { useWords } from '../../i18n';
import { Panel } from '../../ui/Panel';
import { Table, type Column } from '../../ui/Table';
import { loadFrame, mostOf, replicasFrame, saved } from './replay';

export function ReplayResult({ replay }: { replay: Replay }) {
  const { t, say, locale } = useWords();
  const load = useMemo(() => loadFrame(replay, { load: t('scaling.load'), capacity: t('replay.capacity') }), [replay, t]);
  const replicas = useMemo(() => replicasFrame(replay, (by) => t(`replay.by.${by}`)), [replay, t]);
  const ours = replay.outcomes[0];
  const than = replay.outcomes.some((outcome) => outcome.by === 'actual') ? 'actual' : 'hpa';
  const part = saved(replay, than);
  const columns: Column<ReplayOutcome>[] = [
    { id: 'by', title: t('replay.way'), render: (row) => <span title={t(`replay.about.${row.by}`)}>{t(`replay.by.${row.by}`)}</span>, grow: true },
    { id: 'hours', title: t('cost.hours'), render: (row) => figure(row.replica_hours, locale), sort: (row) => row.replica_hours, figure: true },
    { id: 'bad', title: t('replay.bad'), render: (row) => formatValue(row.bad_ratio, 'ratio', locale), sort: (row) => row.bad_ratio, figure: true },
    { id: 'minutes', title: t('replay.bad_minutes'), render: (row) => figure(row.bad_minutes, locale), sort: (row) => row.bad_minutes, figure: true },
    { id: 'most', title: t('replay.most'), render: (row) => figure(mostOf(row), locale), sort: mostOf, figure: true, wideOnly: true },
    { id: 'actions', title: t('replay.actions'), render: (row) => figure(row.actions, locale), sort: (row) => row.actions, figure: true, wideOnly: true },
    { id: 'reversals', title: t('replay.reversals'), render: (row) => figure(row.reversals, locale), sort: (row) => row.reversals, figure: true, wideOnly: true },
  ];
  return (
    <>
      {ours && (
        <p className="scaling-status" role="status">
          {t('replay.sentence', { policy: replay.policy, hours: figure(ours.replica_hours, locale), bad: formatValue(ours.bad_ratio, 'ratio', locale) })}{' '}
          {part !== null &&
            t(part < -0.005 ? 'replay.fewer' : part > 0.005 ? 'replay.more' : 'replay.same', {
              part: formatValue(Math.abs(part), 'ratio', locale),
              than: t(`replay.than.${than}`),
            })}
        </p>
      )}
      <Panel
        title={t('replay.result')}
        note={t(replay.startup_measured ? 'replay.startup_measured' : 'replay.startup', { time: seconds(replay.startup_seconds, locale) })}
      >
        <Table name="replay" label={t('replay.result')} columns={columns} rows={replay.outcomes} rowKey={(row) => row.by} />
        {replay.notes.map((note) => (
          <p key={note} className="hint pad">
            {say(note)}
          </p>
        ))}
      </Panel>
      <ChartPanel title={t('replay.replicas')} frame={replicas} unit="count" queries={[]} here height={180} />
      <ChartPanel title={t('scaling.load')} frame={load} unit={replay.unit === 'RPS' ? 'rps' : 'none'} queries={[replay.query]} height={150} />
    </>
  );
}
