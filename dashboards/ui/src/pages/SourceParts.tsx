// The built-in sources: what they have delivered so far and what keeps them from it.
import type { Source } from '../api/types';
import { count } from '../format/units';
import { useWords } from '../i18n';
import { Mark } from '../ui/Mark';
import { Panel } from '../ui/Panel';
import { Table, type Column } from '../ui/Table';
import { Time } from './parts';

/** The first minute: what is already seen. */
export function FirstMinute({ sources }: { sources: Source[] }) {
  const { t, locale, say } = useWords();
  return (
    <Panel title={t('first.title')} note={t('first.note')}>
      <ul className="first">
        {sources.map((source) => (
          <li key={source.name}>
            <Mark kind={source.delivered > 0 ? 'ok' : source.healthy ? 'unknown' : 'warning'} bare />
            <b>{source.name}</b>
            <span>
              {source.delivered > 0
                ? t(source.kind === 'logs' ? 'first.lines' : 'first.samples', { n: count(source.delivered, locale) })
                : say(source.problem) || t('first.waiting')}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** Sources that do not deliver; nothing when all do. */
export function SourceProblems({ sources }: { sources: Source[] }) {
  const { t, say } = useWords();
  const bad = sources.filter((source) => !source.healthy || source.problem);
  if (bad.length === 0) return null;
  return (
    <Panel title={t('sources.problems')}>
      <ul className="problems">
        {bad.map((source) => (
          <li key={source.name}>
            <Mark kind={source.healthy ? 'unknown' : 'warning'} bare />
            <b>{source.name}</b>
            <span>{say(source.problem)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

export function SourceTable({ sources }: { sources: Source[] }) {
  const { t, locale, say } = useWords();
  const columns: Column<Source>[] = [
    { id: 'name', title: t('column.source'), render: (row) => <b>{row.name}</b>, sort: (row) => row.name },
    {
      id: 'state',
      title: t('column.state'),
      render: (row) => <Mark kind={row.healthy ? 'ok' : 'critical'} word={t(row.healthy ? 'target.up' : 'target.down')} />,
      sort: (row) => (row.healthy ? 1 : 0),
    },
    { id: 'kind', title: t('column.kind'), render: (row) => t(row.kind === 'logs' ? 'source.logs' : 'source.metrics'), wideOnly: true },
    { id: 'reading', title: t('column.reading'), render: (row) => <code>{say(row.reading)}</code>, wideOnly: true },
    { id: 'delivered', title: t('column.delivered'), render: (row) => count(row.delivered, locale), sort: (row) => row.delivered, figure: true },
    { id: 'malformed', title: t('column.malformed'), render: (row) => count(row.malformed, locale), figure: true, wideOnly: true },
    { id: 'last', title: t('column.last'), render: (row) => <Time ms={row.last_ms} relative />, sort: (row) => row.last_ms, figure: true, wideOnly: true },
    { id: 'problem', title: t('column.problem'), render: (row) => <span className="wrap">{say(row.problem)}</span>, grow: true },
  ];
  return <Table name="sources" label={t('sources.title')} columns={columns} rows={sources} rowKey={(row) => row.name} order="name" />;
}
