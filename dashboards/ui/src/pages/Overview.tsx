// Is everything fine? If not: what, since when, how bad. Then what changed.
import { useMemo } from 'react';
import { withParams } from '../api/client';
import { useLive } from '../api/live';
import type { Attention, Overview as Data, ScaledService, ServiceRow } from '../api/types';
import { useApi } from '../api/useApi';
import { Board, type BoardChart } from '../chart/Board';
import { inferUnit } from '../format/units';
import { useWords, type Translate } from '../i18n';
import { useTime } from '../time/TimeContext';
import { servicePath, To } from '../ui/links';
import { Mark } from '../ui/Mark';
import { Empty, Panel, Ready } from '../ui/Panel';
import { Spark } from '../ui/Spark';
import { Changes, Replicas, Sentence, Time, Value, worst } from './parts';
import { FirstMinute, SourceProblems } from './SourceParts';

export function Overview() {
  const { range } = useTime();
  const loaded = useApi<Data>(withParams('/api/v1/overview', { from_ms: range.fromMs, to_ms: range.toMs }));
  useLive(['services', 'change', 'alert'], loaded.reload);
  return (
    <Ready loaded={loaded} rows={10}>
      {(data) => <Body data={data} />}
    </Ready>
  );
}

function Body({ data }: { data: Data }) {
  const { t, say } = useWords();
  const state = data.attention.length ? worst(data.attention.map((row) => row.severity)) : 'ok';
  return (
    <>
      <Sentence kind={data.collecting ? 'unknown' : state} aside={<Counts data={data} />}>
        {sentence(data, t, say)}
      </Sentence>
      {data.collecting && <FirstMinute sources={data.sources} />}
      <AttentionList rows={data.attention} />
      <div className="columns two-one">
        <div>
          <Panel title={t('overview.services')} note={t('overview.services_note')}>
            <Tiles services={data.services} />
          </Panel>
          <LoadCharts services={data.services} />
        </div>
        <Panel title={t('overview.changes')}>
          <Changes changes={data.changes} limit={8} />
        </Panel>
      </div>
      <SourceProblems sources={data.sources} />
    </>
  );
}

/** The page's sentence; how many of what stands beside it. */
function sentence(data: Data, t: Translate, say: (text: string) => string): string {
  if (data.collecting) return t('overview.sentence.collecting');
  const [first] = data.attention;
  return first ? t('overview.sentence.attention', { count: data.attention.length, first: say(first.what) }) : t('overview.sentence.fine');
}

function Counts({ data }: { data: Data }) {
  const { t } = useWords();
  const { counts } = data;
  return (
    <ul className="counts">
      <li>
        <To path="/services">{t('count.services', { count: counts.services })}</To>
      </li>
      <li>
        <To path="/hosts">{t('count.hosts', { count: counts.hosts })}</To>
      </li>
      <li>{t('count.containers', { count: counts.containers })}</li>
      <li>
        <To path="/alerts">{t('count.firing', { count: counts.alerts_firing })}</To>
      </li>
      <li>
        <To path="/alerts?tab=tickets">{t('count.tickets', { count: counts.tickets_open })}</To>
      </li>
    </ul>
  );
}

function AttentionList({ rows }: { rows: Attention[] }) {
  const { t, say } = useWords();
  if (rows.length === 0) return null;
  return (
    <Panel title={t('overview.attention')} className="attention">
      <ul>
        {rows.map((row) => (
          <li key={`${row.subject} ${row.what}`} data-row tabIndex={-1}>
            <Mark kind={row.severity} />
            <span className="attention-what">{say(row.what)}</span>
            <span className="attention-since">
              <Time ms={row.since_ms} relative />
            </span>
            <To path={row.href} className="button small">
              {t('action.look')}
            </To>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** Tiles shown; the Services page has all. */
const TILES = 24;

function Tiles({ services }: { services: ServiceRow[] }) {
  const { t, say } = useWords();
  const order = ['critical', 'warning', 'unknown', 'ok'];
  const sorted = [...services].sort(
    (a, b) => order.indexOf(a.health) - order.indexOf(b.health) || (b.rps ?? -1) - (a.rps ?? -1) || a.service.localeCompare(b.service),
  );
  if (services.length === 0) return <Empty title={t('services.empty.title')} text={t('services.empty.text')} />;
  return (
    <>
      <ul className="tiles">
        {sorted.slice(0, TILES).map((row) => (
          <li key={`${row.cluster} ${row.service}`} className={`tile tile-${row.health}`} data-row tabIndex={-1}>
            <div className="tile-head">
              <Mark kind={row.health} bare />
              <To path={servicePath(row.service)} title={say(row.health_reason)}>
                {row.service}
              </To>
            </div>
            <Spark values={row.rps_spark} label={t('service.rps_spark', { service: row.service })} width={150} height={24} />
            <div className="tile-foot">
              <span>
                <Value value={row.rps} unit="rps" />
              </span>
              {row.replicas_wanted !== null && (
                <span>
                  <Replicas row={{ ...row, min: null }} />
                </span>
              )}
            </div>
          </li>
        ))}
      </ul>
      {sorted.length > TILES && (
        <p className="pad">
          <To path="/services">{t('action.show_all', { count: sorted.length })}</To>
        </p>
      )}
    </>
  );
}

/** Services whose load stands on the overview. */
const CHARTED = 4;

const PLAIN = { thresholds: [], forecast: null, step_lines: false };

const HOST_CHARTS: BoardChart[] = [
  {
    ...PLAIN,
    id: 'hosts-cpu',
    title_key: 'overview.hosts_cpu',
    unit: 'ratio',
    queries: [{ expr: '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m]))', legend: '{{instance}}' }],
  },
  {
    ...PLAIN,
    id: 'hosts-memory',
    title_key: 'overview.hosts_memory',
    unit: 'ratio',
    queries: [{ expr: '1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes', legend: '{{instance}}' }],
  },
];

/** Load of the scaled services against what one replica carries, then how the hosts do. */
function LoadCharts({ services }: { services: ServiceRow[] }) {
  const { t } = useWords();
  const anyScaled = services.some((row) => row.autoscaled);
  const scaled = useApi<{ services: ScaledService[] }>(anyScaled ? '/api/v1/scaling/services' : null);
  const charts = useMemo<BoardChart[]>(
    () => [
      ...(scaled.data?.services ?? [])
        .filter((service) => service.load_query !== '')
        .slice(0, CHARTED)
        .map((service): BoardChart => {
          const unit = inferUnit(service.load_query);
          return {
            ...PLAIN,
            id: `load ${service.service}`,
            title_key: '',
            title: t('overview.load', { service: service.service }),
            unit: unit === 'none' ? 'count' : unit,
            queries: [{ expr: service.load_query, legend: service.service }],
          };
        }),
      ...HOST_CHARTS,
    ],
    [scaled.data, t],
  );
  // One request for all: wait until it is known which services are scaled.
  if (anyScaled && scaled.data === null && scaled.error === null) return <Board charts={[]} />;
  return <Board charts={charts} height={150} />;
}
