// Parts that several pages show.
import { useState, type ReactNode } from 'react';
import type { Alert, Change, Health, Labels, ServiceRow } from '../api/types';
import { ago, fullTime, shortTime } from '../format/time';
import { formatValue, UNKNOWN, type Unit } from '../format/units';
import { useWords, type Translate } from '../i18n';
import { useTime } from '../time/TimeContext';
import { explorePath, hostPath, servicePath, ticketPath, To } from '../ui/links';
import { Mark, type MarkKind } from '../ui/Mark';
import { severityMark, severityWord } from './severity';

/** A page opens with a sentence made from data. */
export function Sentence({ kind, children, aside }: { kind?: MarkKind; children: ReactNode; aside?: ReactNode }) {
  return (
    <div className="sentence">
      <p>
        {kind && <Mark kind={kind} bare />}
        {children}
      </p>
      {aside && <div className="sentence-aside">{aside}</div>}
    </div>
  );
}

/** A point in time, with its full form on hover. */
export function Time({ ms, relative }: { ms: number | null; relative?: boolean }) {
  const { locale } = useWords();
  const { utc } = useTime();
  if (ms === null || ms === undefined) return <>{UNKNOWN}</>;
  return (
    <time dateTime={new Date(ms).toISOString()} title={fullTime(ms, { locale, utc })}>
      {relative ? ago(ms, locale) : shortTime(ms, { locale, utc })}
    </time>
  );
}

/** A value with its unit; grey with its age when it is old. */
export function Value({ value, unit }: { value: number | null; unit: Unit }) {
  const { locale } = useWords();
  return <span className={value === null ? 'unknown' : undefined}>{formatValue(value, unit, locale)}</span>;
}

export function HealthMark({ health, reason }: { health: Health; reason?: string }) {
  const { say } = useWords();
  return (
    <span title={say(reason ?? '') || undefined}>
      <Mark kind={health} />
    </span>
  );
}

/** The worst of some states. */
export function worst(states: Health[]): Health {
  return (['critical', 'warning', 'unknown', 'ok'] as const).find((state) => states.includes(state)) ?? 'unknown';
}

/** Ready of wanted replicas, with the policy's bounds. */
export function Replicas({ row }: { row: ServiceRow }) {
  const { t } = useWords();
  if (row.replicas_ready === null && row.replicas_wanted === null) return <span className="unknown">{UNKNOWN}</span>;
  return (
    <span title={t('service.replicas_title', { ready: row.replicas_ready ?? '?', wanted: row.replicas_wanted ?? '?' })}>
      {row.replicas_ready ?? '?'}/{row.replicas_wanted ?? '?'}
      {row.min !== null && row.max !== null && (
        <small className="bounds">
          {' '}
          {row.min}–{row.max}
        </small>
      )}
    </span>
  );
}

export function LabelChips({ labels, without = [] }: { labels: Labels; without?: string[] }) {
  const pairs = Object.entries(labels).filter(([name]) => !without.includes(name));
  return (
    <span className="chips">
      {pairs.map(([name, value]) => (
        <span key={name} className="chip" title={`${name}=${value}`}>
          {name}={value}
        </span>
      ))}
    </span>
  );
}

/** What was done to the platform, newest first. */
export function Changes({ changes, limit = 12 }: { changes: Change[]; limit?: number }) {
  const { t, say } = useWords();
  const [all, setAll] = useState(false);
  const sorted = [...changes].sort((a, b) => b.time_ms - a.time_ms);
  const shown = all ? sorted : sorted.slice(0, limit);
  if (sorted.length === 0) return <p className="hint pad">{t('changes.none')}</p>;
  return (
    <>
      <ol className="changes">
        {shown.map((change) => (
          <li key={`${change.time_ms} ${change.kind} ${change.service} ${change.subject} ${change.summary}`} data-row tabIndex={-1}>
            <Time ms={change.time_ms} />
            <span className={`tag tag-${change.kind}`}>{t(`change.${change.kind}`)}</span>
            {change.service && (
              <To path={servicePath(change.service)} className="name">
                {change.service}
              </To>
            )}
            <p>{say(change.summary)}</p>
          </li>
        ))}
      </ol>
      {sorted.length > limit && !all && (
        <button className="link pad" onClick={() => setAll(true)}>
          {t('action.show_all', { count: sorted.length })}
        </button>
      )}
    </>
  );
}

/** Alerts as a list: what, value, since, ticket. The rule's name is left out where a heading has it. */
export function AlertList({ alerts, headed }: { alerts: Alert[]; headed?: boolean }) {
  const { t } = useWords();
  return (
    <ul className="alert-list">
      {alerts.map((alert) => (
        <AlertItem key={`${alert.rule} ${alert.fingerprint} ${alert.active_at_ms}`} alert={alert} t={t} headed={headed} />
      ))}
    </ul>
  );
}

function AlertItem({ alert, t, headed }: { alert: Alert; t: Translate; headed?: boolean }) {
  const { locale, has, say } = useWords();
  const kind = alert.state === 'firing' ? severityMark(alert.labels.severity) : alert.state === 'pending' ? 'unknown' : 'ok';
  const value = Number(alert.value);
  return (
    <li data-row tabIndex={-1}>
      <div className="alert-line">
        <Mark kind={kind} word={t(`alert.state.${alert.state}`)} />
        {!headed && <b>{alert.rule}</b>}
        {alert.labels.severity && <span className="tag">{severityWord(alert.labels.severity, t, has)}</span>}
        <span className="alert-since">
          {alert.state === 'resolved' && alert.resolved_at_ms ? (
            <>
              {t('alert.resolved')} <Time ms={alert.resolved_at_ms} relative />
            </>
          ) : (
            <>
              {t('alert.since')} <Time ms={alert.fired_at_ms ?? alert.active_at_ms} relative />
            </>
          )}
        </span>
      </div>
      <p className="alert-text">{say(alert.annotations.summary ?? alert.annotations.description ?? '')}</p>
      <div className="alert-foot">
        <LabelChips labels={alert.labels} without={['alertname', 'severity']} />
        <span className="alert-links">
          <To path={explorePath(alert.expression)}>{t('alert.value', { value: formatValue(Number.isNaN(value) ? null : value, 'none', locale) })}</To>
          {alert.ticket_id !== null && alert.ticket_id !== undefined && (
            <To path={ticketPath(alert.ticket_id)}>{t('alert.ticket', { id: String(alert.ticket_id) })}</To>
          )}
          {alert.annotations.runbook_url && (
            <a href={alert.annotations.runbook_url} rel="noreferrer" target="_blank">
              {t('alert.runbook')}
            </a>
          )}
        </span>
      </div>
    </li>
  );
}

export function ServiceLink({ service }: { service: string }) {
  return service ? <To path={servicePath(service)}>{service}</To> : <>{UNKNOWN}</>;
}

export function HostLink({ host }: { host: string }) {
  return host ? <To path={hostPath(host)}>{host}</To> : <>{UNKNOWN}</>;
}

/** A headline figure with its word. */
export function Figure({ label, children, path }: { label: string; children: ReactNode; path?: string }) {
  const value = <b>{children}</b>;
  return (
    <div className="figure-tile">
      {path ? <To path={path}>{value}</To> : value}
      <span>{label}</span>
    </div>
  );
}

export function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
