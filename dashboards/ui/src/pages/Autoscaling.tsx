// Per scaled service: its load with forecast and capacity over its replicas, and each decision with its reason.
import { useMemo, useState } from 'react';
import { sendJson, withParams } from '../api/client';
import { useLive } from '../api/live';
import type { Change, Decision, Mode, ScaledService, Stopped } from '../api/types';
import { useApi, useBatch } from '../api/useApi';
import { ChartPanel } from '../chart/ChartPanel';
import { buildFrame } from '../chart/frame';
import { forecastParts, horizonMs } from '../chart/forecast';
import { scalingSeries, withCapacity } from '../chart/scaling';
import { formatValue, inferUnit, seconds } from '../format/units';
import { useWords } from '../i18n';
import { stepped } from '../time/range';
import { useTime } from '../time/TimeContext';
import { Confirm } from '../ui/Dialog';
import { Icon } from '../ui/Icon';
import { servicePath, To, useParam } from '../ui/links';
import { Mark } from '../ui/Mark';
import { Empty, Panel, Ready } from '../ui/Panel';
import { DecisionList, useNames } from './decisions';
import { Facts, Sentence, Time } from './parts';

const MODES: Mode[] = ['observe', 'advise', 'act'];

interface Data {
  services: ScaledService[];
  stopped: Stopped | null;
}

export function Autoscaling() {
  const loaded = useApi<Data>('/api/v1/scaling/services');
  useLive(['decision', 'services'], loaded.reload);
  return (
    <Ready loaded={loaded} rows={8}>
      {(data) => <Body data={data} reload={loaded.reload} />}
    </Ready>
  );
}

function Body({ data, reload }: { data: Data; reload: () => void }) {
  const { t } = useWords();
  const [chosen, setChosen] = useParam('service');
  const { services, stopped } = data;
  const service = services.find((candidate) => candidate.service === chosen) ?? services[0];
  const acting = services.filter((candidate) => candidate.mode === 'act').length;
  return (
    <>
      <Sentence kind={stopped ? 'muted' : services.length ? 'ok' : 'unknown'} aside={services.length > 0 && <StopSwitch stopped={stopped} onDone={reload} />}>
        {stopped ? (
          <>
            {t('scaling.stopped', { actor: stopped.actor })} <Time ms={stopped.since_ms} relative />
          </>
        ) : services.length ? (
          t('scaling.sentence', { count: services.length, acting })
        ) : (
          t('scaling.none')
        )}
      </Sentence>
      {!service && (
        <Panel>
          <Empty title={t('scaling.empty.title')} text={t('scaling.empty.text')} />
        </Panel>
      )}
      {services.length > 1 && (
        <nav className="tabs" aria-label={t('scaling.services')}>
          {services.map((candidate) => (
            <button
              key={`${candidate.cluster} ${candidate.service}`}
              aria-current={candidate === service ? 'page' : undefined}
              onClick={() => setChosen(candidate.service)}
            >
              {candidate.service}
              <span className="count">{candidate.wanted ?? '?'}</span>
            </button>
          ))}
        </nav>
      )}
      {service && <One key={service.service} service={service} reload={reload} />}
    </>
  );
}

function StopSwitch({ stopped, onDone }: { stopped: Stopped | null; onDone: () => void }) {
  const { t } = useWords();
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState('');
  const send = () =>
    sendJson('/api/v1/scaling/stop', { stopped: stopped === null })
      .then(() => {
        setProblem('');
        onDone();
      })
      .catch((cause: Error) => setProblem(cause.message));
  return (
    <>
      <button className={stopped ? 'button primary' : 'button danger-quiet'} onClick={() => setAsking(true)}>
        <Icon name={stopped ? 'play' : 'stop'} />
        {t(stopped ? 'scaling.start_all' : 'scaling.stop_all')}
      </button>
      {problem && <span className="form-error">{problem}</span>}
      {asking && (
        <Confirm
          title={t(stopped ? 'scaling.start_title' : 'scaling.stop_title')}
          text={t(stopped ? 'scaling.start_text' : 'scaling.stop_text')}
          verb={t(stopped ? 'scaling.start_all' : 'scaling.stop_all')}
          danger={!stopped}
          onConfirm={() => void send()}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}

function One({ service, reload }: { service: ScaledService; reload: () => void }) {
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
      {service.notes.map((note) => (
        <p key={note} className="note">
          <Mark kind="unknown" word={t('scaling.note')} /> {say(note)}
        </p>
      ))}
      <div className="scaling-head">
        <Facts
          facts={[
            [t('column.service'), <To key="v" path={servicePath(service.service)}>{service.service}</To>],
            [t('column.replicas'), `${service.ready ?? '?'}/${service.wanted ?? '?'} (${service.min}–${service.max})`],
            [t('scaling.targets'), service.targets.map(say).join(' · ') || '–'],
            [t('scaling.hold'), seconds(service.hold_seconds, locale)],
            [t('column.orchestrator'), service.orchestrator],
            [t('scaling.last_round'), <Time key="v" ms={service.last_round_ms} relative />],
          ]}
        />
        <ModeSwitch service={service} onDone={reload} />
      </div>
      <p className="scaling-status">{say(service.status)}</p>
      <Charts service={service} decisions={decisions} />
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

function ModeSwitch({ service, onDone }: { service: ScaledService; onDone: () => void }) {
  const { t } = useWords();
  const [asked, setAsked] = useState<Mode | null>(null);
  const [problem, setProblem] = useState('');
  const send = (mode: Mode) =>
    sendJson(`/api/v1/scaling/services/${encodeURIComponent(service.service)}/mode`, { mode })
      .then(() => {
        setProblem('');
        onDone();
      })
      .catch((cause: Error) => setProblem(cause.message));
  return (
    <div className="mode">
      <div className="segments" role="group" aria-label={t('scaling.mode')}>
        {MODES.map((mode) => (
          <button
            key={mode}
            aria-pressed={service.mode === mode}
            title={t(`mode.${mode}.text`)}
            onClick={() => {
              if (mode === service.mode) return;
              // Only what makes it act is asked about.
              if (mode === 'act') setAsked(mode);
              else void send(mode);
            }}
          >
            {t(`mode.${mode}`)}
          </button>
        ))}
      </div>
      <p className="hint">{t(`mode.${service.mode}.text`)}</p>
      {problem && <p className="form-error">{problem}</p>}
      {asked && (
        <Confirm
          title={t('scaling.act_title', { service: service.service })}
          text={t('scaling.act_text', { min: service.min, max: service.max })}
          verb={t('mode.act')}
          onConfirm={() => void send(asked)}
          onClose={() => setAsked(null)}
        />
      )}
    </div>
  );
}

function Charts({ service, decisions }: { service: ScaledService; decisions: Decision[] }) {
  const { t, say } = useWords();
  const { range, spec } = useTime();
  const loaded = useBatch(
    [
      { id: 'load', expr: service.load_query },
      { id: 'forecast', expr: service.forecast_selector ?? '' },
      { id: 'wanted', expr: scalingSeries('wanted', service) },
      { id: 'ready', expr: scalingSeries('ready', service) },
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
        queries={[scalingSeries('wanted', service), scalingSeries('ready', service)]}
        error={batch?.results.get('wanted')?.error}
        thresholds={[
          { value: service.min, label: t('threshold.min') },
          { value: service.max, label: t('threshold.max') },
        ]}
        height={130}
      />
    </div>
  );
}
