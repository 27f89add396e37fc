// The patterns behind the lines: which, how many, since when.
import { Fragment } from 'react';
import { withParams } from '../../api/client';
import type { LogPattern } from '../../api/types';
import { useApi } from '../../api/useApi';
import { count, formatValue } from '../../format/units';
import { useWords } from '../../i18n';
import { Empty, Panel, Ready } from '../../ui/Panel';
import { Spark } from '../../ui/Spark';
import { Table, type Column } from '../../ui/Table';
import { ServiceLink, Time } from '../parts';

interface Props {
  params: Record<string, string | number>;
  onPick: (patternId: string) => void;
}

export function LogPatterns({ params, onPick }: Props) {
  const { t, locale } = useWords();
  const loaded = useApi<{ patterns: LogPattern[]; total: number }>(withParams('/api/v1/logs/patterns', { ...params, buckets: 30, limit: 100 }));
  const columns: Column<LogPattern>[] = [
    {
      id: 'template',
      title: t('column.pattern'),
      render: (row) => (
        <button className="link pattern" title={row.example} onClick={() => onPick(row.pattern_id)}>
          <Template text={row.template} />
        </button>
      ),
      sort: (row) => row.template,
      grow: true,
    },
    { id: 'new', title: t('column.state'), render: (row) => row.new && <span className="tag tag-new">{t('pattern.new')}</span>, sort: (row) => (row.new ? 0 : 1) },
    { id: 'count', title: t('column.count'), render: (row) => count(row.count, locale), sort: (row) => row.count, figure: true },
    { id: 'share', title: t('column.share'), render: (row) => formatValue(row.share, 'ratio', locale), sort: (row) => row.share, figure: true, wideOnly: true },
    { id: 'trend', title: t('column.trend'), render: (row) => <Spark bars values={row.buckets} label={t('pattern.trend')} />, wideOnly: true },
    { id: 'service', title: t('column.service'), render: (row) => <ServiceLink service={row.service ?? ''} />, sort: (row) => row.service, wideOnly: true },
    { id: 'first', title: t('column.first_seen'), render: (row) => <Time ms={row.first_seen_ms} relative />, sort: (row) => row.first_seen_ms, figure: true, wideOnly: true },
  ];
  return (
    <Ready loaded={loaded} rows={8}>
      {({ patterns, total }) => (
        <Panel title={t('logs.view.patterns')} note={`${t('count.patterns', { count: patterns.length })}, ${t('logs.total', { count: total, n: count(total, locale) })}`}>
          <Table
            name="patterns"
            label={t('logs.view.patterns')}
            columns={columns}
            rows={patterns}
            rowKey={(row) => row.pattern_id}
            order="-count"
            empty={<Empty title={t('pattern.empty.title')} text={t('pattern.empty.text')} />}
          />
        </Panel>
      )}
    </Ready>
  );
}

/** What varies stands out from what stays. */
function Template({ text }: { text: string }) {
  return (
    <code>
      {text.split(/(<[^<>\s]*>)/).map((part, at) => (/^<.*>$/.test(part) ? <mark key={at}>{part}</mark> : <Fragment key={at}>{part}</Fragment>))}
    </code>
  );
}
