// What is scraped and what is read: down with the reason and since when.
import { getJson } from '../api/client';
import type { PromTarget, Source } from '../api/types';
import { useApi, useLoad } from '../api/useApi';
import { seconds } from '../format/units';
import { useWords } from '../i18n';
import { useParam } from '../ui/links';
import { Mark } from '../ui/Mark';
import { Empty, Panel, Ready } from '../ui/Panel';
import { Table, type Column } from '../ui/Table';
import { LabelChips, Sentence, Time } from './parts';
import { Filter } from './Services';
import { SourceTable } from './SourceParts';

interface PromTargets {
  data: { activeTargets: PromTarget[]; droppedTargets: unknown[]; droppedTargetCounts?: Record<string, number> };
}

const MARK = { up: 'ok', down: 'critical', unknown: 'unknown' } as const;

export function Targets() {
  const { t, say } = useWords();
  const targets = useLoad('targets', (signal) => getJson<PromTargets>('/api/v1/targets', signal));
  const sources = useApi<{ sources: Source[] }>('/api/v1/sources');
  const [filter, setFilter] = useParam('filter');
  const active = targets.data?.data.activeTargets ?? [];
  const down = active.filter((target) => target.health === 'down');
  const badSources = sources.data?.sources.filter((source) => !source.healthy) ?? [];
  const counts = targets.data?.data.droppedTargetCounts;
  const dropped = counts ? Object.values(counts).reduce((a, b) => a + b, 0) : (targets.data?.data.droppedTargets.length ?? 0);
  const known = targets.data !== null && sources.data !== null;
  return (
    <>
      {known && (
        <Sentence kind={down.length ? 'critical' : badSources.length ? 'warning' : 'ok'}>
          {down.length
            ? t('targets.down', { down: down.length, count: active.length, target: down[0]?.scrapeUrl, reason: down[0]?.lastError })
            : badSources.length
              ? t('targets.source_down', { source: badSources[0]?.name, reason: say(badSources[0]?.problem ?? '') })
              : active.length
                ? t('targets.fine', { count: active.length })
                : t('targets.sources_only', { count: sources.data?.sources.length ?? 0 })}
        </Sentence>
      )}
      <Panel title={t('sources.title')} note={t('sources.note')}>
        <Ready loaded={sources}>{(data) => <SourceTable sources={data.sources} />}</Ready>
      </Panel>
      <Panel
        title={t('targets.title')}
        note={dropped ? t('targets.dropped', { count: dropped }) : ''}
        actions={active.length > 5 && <Filter value={filter} onChange={setFilter} />}
      >
        <Ready loaded={targets}>
          {({ data }) => (
            <TargetTable
              rows={data.activeTargets.filter((target) => `${target.scrapePool} ${target.scrapeUrl} ${JSON.stringify(target.labels)}`.toLowerCase().includes(filter.toLowerCase()))}
            />
          )}
        </Ready>
      </Panel>
    </>
  );
}

function TargetTable({ rows }: { rows: PromTarget[] }) {
  const { t, locale } = useWords();
  const columns: Column<PromTarget>[] = [
    { id: 'pool', title: t('column.job'), render: (row) => <b>{row.scrapePool}</b>, sort: (row) => row.scrapePool },
    { id: 'state', title: t('column.state'), render: (row) => <Mark kind={MARK[row.health]} word={t(`target.${row.health}`)} />, sort: (row) => row.health },
    {
      id: 'url',
      title: t('column.address'),
      render: (row) => (
        <>
          <code className="name" title={row.scrapeUrl}>
            {row.scrapeUrl}
          </code>
          {row.lastError && <p className="form-error">{row.lastError}</p>}
        </>
      ),
      sort: (row) => row.scrapeUrl,
      grow: true,
    },
    { id: 'labels', title: t('column.labels'), render: (row) => <LabelChips labels={row.labels} without={['job']} />, wideOnly: true },
    { id: 'interval', title: t('column.interval'), render: (row) => row.scrapeInterval, figure: true, wideOnly: true },
    {
      id: 'last',
      title: t('column.last'),
      render: (row) => <Time ms={Date.parse(row.lastScrape) > 0 ? Date.parse(row.lastScrape) : null} relative />,
      sort: (row) => Date.parse(row.lastScrape),
      figure: true,
      wideOnly: true,
    },
    { id: 'took', title: t('column.took'), render: (row) => seconds(row.lastScrapeDuration, locale), sort: (row) => row.lastScrapeDuration, figure: true, wideOnly: true },
  ];
  return (
    <Table
      name="targets"
      label={t('targets.title')}
      columns={columns}
      rows={rows}
      rowKey={(row) => `${row.scrapePool} ${row.scrapeUrl} ${JSON.stringify(row.labels)}`}
      order="state"
      empty={<Empty title={t('targets.empty.title')} text={t('targets.empty.text')} />}
    />
  );
}
