// One scaled service: its load with forecast and capacity over its replicas, each decision with its reason, and its switches.
import { useMemo, type ReactNode } from 'react';
import { withParams } from '../../api/client';
import { useLive } from '../../api/live';
import type { Change, Decision, ScaledService } from '../../api/types';
import { useApi, useBatch } from '../../api/useApi';
import { ChartPanel } from '../../chart/ChartPanel';
import { buildFrame } from '../../chart/frame';
import { forecastParts, horizonMs } from '../../chart/forecast';
import { scalingSeries, withCapacity } from '../../chart/scaling';
import { formatValue, inferUnit, seconds } from '../../format/units';
import { useWords } from '../../i18n';
import { stepped } from '../../time/range';
import { useTime } from '../../time/TimeContext';
import { servicePath, To } from '../../ui/links';
import { Mark } from '../../ui/Mark';
import { Empty, Panel, Ready } from '../../ui/Panel';
import { DecisionList, useNames } from '../decisions';
import { Facts, Time } from '../parts';
import { Carries } from './Carries';
import { HeldLines } from './held';
import { policyPath } from './paths';
import { Shadow } from './Shadow';
import { ServiceSwitches } from './Switches';

export function ScaledOne({ service, stopped, reload }: { service: ScaledService; stopped: boolean; reload: () => void }) {
  const named = useNames();
  const { t, locale, say } = useWords();
  const { range } = useTime();
  const loaded = useApi<{ decisions: Decision[] }>(
    withParams('/api/v1/scaling/decisions', {
      service: service.service,
      from_ms: range.fromMs,
      to_ms: range.toMs,
      changes_only: true,
      limit: 200,
    }),
  );
  useLive(['decision'], loaded.reload);
  const changed = () => {
    reload();
    loaded.reload();
  };
  const decisions = loaded.data?.decisions ?? [];
  return (
    <>
      <HeldLines service={service} />
      {service.notes.map((note) => (
        <p key={note} className="note">
          <Mark kind="unknown" word={t('scaling.note')} /> {say(note)}
        </p>
      ))}
      <div className="scaling-head">
        <div className="scaling-facts">
          <Facts
            facts={[
              [t('column.service'), <To key="v" path={servicePath(service.service)}>{service.service}</To>],
              [t('column.replicas'), `${service.ready ?? '?'}/${service.wanted ?? '?'} (${service.min}–${service.max})`],
              [t('scaling.targets'), service.targets.map(say).join(' · ') || '–'],
              [t('scaling.hold'), seconds(service.hold_seconds, locale)],
              [t('column.orchestrator'), service.orchestrator],
              [t('column.policy'), <To key="v" path={policyPath(service.policy)}>{service.policy}</To>],
              ...(service.startup_seconds ? [[t('column.startup'), seconds(service.startup_seconds, locale)] as [string, ReactNode]] : []),
              ...(service.capacity ? [[t('column.carries'), <Carries key="v" capacity={service.capacity} />] as [string, ReactNode]] : []),
              [t('scaling.last_round'), <Time key="v" ms={service.last_round_ms} relative />],
            ]}
          />
          <p className="scaling-status">{say(service.status)}</p>
        </div>
        <ServiceSwitches service={service} onDone={reload} />
      </div>
      <Charts service={service} decisions={decisions} shadow={stopped || service.mode !== 'act'} />
      <div className="columns two-one">
        <Panel title={t('scaling.decisions')} note={t('count.decisions', { count: decisions.length })}>
          <Ready loaded={loaded} rows={4}>
            {(data) =>
              data.decisions.length ? (
                <DecisionList decisions={data.decisions} onChanged={changed} />
              ) : (
                <Empty title={t('decisions.none')} text={t('decisions.none_text')} />
              )
            }
          </Ready>
        </Panel>
        <Panel title={t('scaling.seen')} note={t('scaling.seen_note')}>
          <ul className="seen">
            {service.seen.map((metric) => (
              <li key={metric.name}>
                <span>{named('metric', metric.name)}</span>
                <b>{formatValue(metric.value, 'none', locale)}</b>
                <small>{say(metric.note) || (metric.age_ms !== null ? t('decision.age', { age: seconds(metric.age_ms / 1000, locale) }) : '')}</small>
              </li>
            ))}
          </ul>
        </Panel>
      </div>
    </>
  );
}

/** With `shadow` what would have been stands beside what was. */
function Charts({ service, decisions, shadow }: { service: ScaledService; decisions: Decision[]; shadow: boolean }) {
  const { t, say } = useWords();
  const { range, spec } = useTime();
  const loaded = useBatch(
    [
      { id: 'load', expr: service.load_query },
      { id: 'forecast', expr: service.forecast_selector ?? '' },
      { id: 'wanted', expr: scalingSeries('wanted', service) },
      { id: 'ready', expr: scalingSeries('ready', service) },
      { id: 'decided', expr: shadow ? scalingSeries('decided', service) : '' },
    ],
    stepped(range),
  );
  const batch = loaded.data;
  const frames = useMemo(() => {
    if (!batch) return null;
    const forecast = batch.results.get('forecast');
    // A range that ends now goes on into what is forecast, but stays mostly about what was.
    const ahead = spec.to === 'now' ? Math.min(horizonMs(forecast), (batch.steps.endMs - batch.steps.startMs) / 2) : 0;
    const wide = { ...batch.steps, endMs: batch.steps.endMs + ahead };
    const replicas = buildFrame(
      [
        { result: batch.results.get('wanted'), legend: t('scaling.wanted'), kind: 'step' },
        { result: batch.results.get('ready'), legend: t('scaling.ready'), kind: 'step' },
        { result: batch.results.get('decided'), legend: t('scaling.decided'), kind: 'step' },
      ],
      wide,
    );
    const load = buildFrame(
      [{ result: batch.results.get('load'), legend: t('scaling.load'), kind: 'line' }, ...forecastParts(forecast, t('scaling.load'))],
      wide,
    );
    return { replicas, load: withCapacity(load, replicas, service.target_per_replica, t('scaling.capacity')) };
  }, [batch, service.target_per_replica, spec.to, t]);
  const events: Change[] = decisions.map((decision) => ({
    time_ms: decision.time_ms,
    kind: 'scale',
    cluster: decision.cluster,
    service: decision.service,
    subject: '',
    actor: 'autoscaler',
    summary: `${decision.from} → ${decision.to}: ${say(decision.reason)}`,
    details: {},
  }));
  const unit = service.load_query ? inferUnit(service.load_query) : 'none';
  return (
    <div className="stack">
      {service.load_query && (
        <ChartPanel
          title={t('scaling.load_title')}
          frame={frames?.load ?? null}
          unit={unit === 'none' ? 'count' : unit}
          queries={[service.load_query, ...(service.forecast_selector ? [service.forecast_selector] : [])]}
          error={batch?.results.get('load')?.error}
          events={events}
          height={220}
        />
      )}
      <ChartPanel
        title={t('scaling.replicas_title')}
        frame={frames?.replicas ?? null}
        unit="count"
        queries={[scalingSeries('wanted', service), scalingSeries('ready', service), ...(shadow ? [scalingSeries('decided', service)] : [])]}
        error={batch?.results.get('wanted')?.error}
        thresholds={[
          { value: service.min, label: t('threshold.min') },
          { value: service.max, label: t('threshold.max') },
        ]}
        height={130}
      />
      {shadow && frames && <Shadow load={frames.load} replicas={frames.replicas} perReplica={service.target_per_replica} />}
    </div>
  );
}
