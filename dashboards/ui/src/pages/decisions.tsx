// Scaling decisions: 3 → 5, why in one sentence, and everything that led to it on a click.
import { useState } from 'react';
import { sendJson } from '../api/client';
import type { Decision } from '../api/types';
import { formatValue, seconds, UNKNOWN } from '../format/units';
import { useWords } from '../i18n';
import { explorePath, To, useParam } from '../ui/links';
import { Mark, type MarkKind } from '../ui/Mark';
import { Time } from './parts';

const STATE_MARK: Record<Decision['state'], MarkKind> = {
  recorded: 'unknown',
  awaiting_approval: 'warning',
  acted: 'unknown',
  verified: 'ok',
  failed: 'critical',
  skipped: 'muted',
};

export function DecisionList({ decisions, onChanged }: { decisions: Decision[]; onChanged: () => void }) {
  const { t, say } = useWords();
  const [open, setOpen] = useParam('decision');
  return (
    <ol className="decisions" aria-label={t('service.decisions')}>
      {[...decisions]
        .sort((a, b) => b.time_ms - a.time_ms)
        .map((decision) => {
          const isOpen = open === String(decision.id);
          const toggle = () => setOpen(isOpen ? null : String(decision.id), { replace: true });
          return (
            <li key={decision.id} data-row tabIndex={-1} onKeyDown={(event) => event.key === 'Enter' && event.target === event.currentTarget && toggle()}>
              <button className="decision-row" aria-expanded={isOpen} onClick={toggle}>
                <Time ms={decision.time_ms} />
                <Step from={decision.from} to={decision.to} />
                <span className="decision-why">{say(decision.reason)}</span>
                <Mark kind={STATE_MARK[decision.state]} word={t(`decision.${decision.state}`)} />
              </button>
              {decision.state === 'awaiting_approval' && <Approve id={decision.id} onDone={onChanged} />}
              {isOpen && <Detail decision={decision} />}
            </li>
          );
        })}
    </ol>
  );
}

function Step({ from, to }: { from: number; to: number }) {
  const { t } = useWords();
  const kind = to > from ? 'out' : to < from ? 'in' : 'hold';
  return (
    <span className={`step step-${kind}`} title={t(`step.${kind}`)}>
      <span className="sr">{t(`step.${kind}`)} </span>
      {from} → {to}
    </span>
  );
}

function Approve({ id, onDone }: { id: number; onDone: () => void }) {
  const { t } = useWords();
  const [problem, setProblem] = useState('');
  const approve = () =>
    sendJson(`/api/v1/scaling/decisions/${id}/approve`, {})
      .then(onDone)
      .catch((cause: Error) => setProblem(cause.message));
  return (
    <p className="decision-approve">
      <button className="button primary small" onClick={() => void approve()}>
        {t('decision.approve')}
      </button>
      {problem && <span className="form-error">{problem}</span>}
    </p>
  );
}

/** The word for what the autoscaler names; its own name when there is none. */
export function useNames(): (kind: 'metric' | 'guard', name: string) => string {
  const { t, has } = useWords();
  return (kind, name) => (has(`scaling.${kind}.${name}`) ? t(`scaling.${kind}.${name}`) : name);
}

function Detail({ decision }: { decision: Decision }) {
  const named = useNames();
  const { t, locale, say } = useWords();
  return (
    <div className="decision-detail">
      <div className="columns three">
        <section>
          <h3>{t('decision.seen')}</h3>
          <table className="plain">
            <tbody>
              {decision.seen.map((metric) => (
                <tr key={metric.name}>
                  <th scope="row">{named('metric', metric.name)}</th>
                  <td className="figure">
                    {metric.query ? (
                      <To path={explorePath(metric.query)}>{formatValue(metric.value, 'none', locale)}</To>
                    ) : (
                      formatValue(metric.value, 'none', locale)
                    )}
                  </td>
                  <td>
                    {say(metric.note) || (metric.age_ms !== null ? t('decision.age', { age: seconds(metric.age_ms / 1000, locale) }) : '')}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
        <section>
          <h3>{t('decision.candidates')}</h3>
          <table className="plain">
            <tbody>
              {decision.candidates.map((candidate) => (
                <tr key={candidate.name}>
                  <th scope="row">{named('metric', candidate.name)}</th>
                  <td className="figure">{candidate.replicas ?? UNKNOWN}</td>
                  <td>{say(candidate.reason)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
        <section>
          <h3>{t('decision.guards')}</h3>
          <table className="plain">
            <tbody>
              {decision.guards.map((guard, at) => (
                <tr key={`${guard.guard} ${at}`}>
                  <th scope="row">{named('guard', guard.guard)}</th>
                  <td className="figure">{guard.before === guard.after ? guard.after : `${guard.before} → ${guard.after}`}</td>
                  <td>{say(guard.reason)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      </div>
      <p className="decision-result">
        <b>{t('decision.result')}</b> {say(decision.result) || UNKNOWN}
      </p>
      <p className="hint">
        {t('decision.foot', { policy: decision.policy, orchestrator: decision.orchestrator, mode: t(`mode.${decision.mode}`), ready: decision.ready })}
      </p>
    </div>
  );
}
