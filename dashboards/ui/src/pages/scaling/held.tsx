// What keeps a service from being scaled, in words.
import type { Held, Paused, ScaledService } from '../../api/types';
import { useWords, type Translate } from '../../i18n';
import { Mark, type MarkKind } from '../../ui/Mark';
import { Time } from '../parts';

/** `in`, `out`, `both`, or nothing when neither is closed. */
export function closedWord(paused: Paused): 'in' | 'out' | 'both' | null {
  if (paused.in && paused.out) return 'both';
  if (paused.in) return 'in';
  return paused.out ? 'out' : null;
}

interface Hold {
  key: string;
  kind: MarkKind;
  text: string;
  sinceMs?: number | null;
  /** The server's words. */
  why?: string;
}

/** All that holds a service, the most serious first. */
export function holdsOf(held: Held, t: Translate): Hold[] {
  const holds: Hold[] = [];
  if (held.frozen_since_ms !== null) {
    holds.push({ key: 'frozen', kind: 'critical', text: t('held.frozen'), sinceMs: held.frozen_since_ms, why: held.frozen_reason });
  }
  const byPerson = closedWord(held.paused);
  if (byPerson) holds.push({ key: 'paused', kind: 'muted', text: t(`held.paused.${byPerson}`, { actor: held.paused_by }) });
  const byPolicy = closedWord(held.paused_by_policy);
  if (byPolicy) holds.push({ key: 'policy', kind: 'muted', text: t(`held.policy.${byPolicy}`) });
  for (const name of held.windows) holds.push({ key: `window ${name}`, kind: 'muted', text: t('held.window', { name }) });
  return holds;
}

/** Each hold on a line of its own. */
export function HeldLines({ service }: { service: ScaledService }) {
  const { t, say } = useWords();
  return (
    <>
      {holdsOf(service.held, t).map((hold) => (
        <p key={hold.key} className="note">
          <Mark kind={hold.kind} word={hold.text} />
          {hold.sinceMs ? (
            <>
              {' '}
              <Time ms={hold.sinceMs} relative />
            </>
          ) : null}
          {hold.why ? <> · {say(hold.why)}</> : null}
        </p>
      ))}
    </>
  );
}

/** The most serious hold, for a table. */
export function HeldMark({ service }: { service: ScaledService }) {
  const { t } = useWords();
  const holds = holdsOf(service.held, t);
  const first = holds[0];
  if (!first) return null;
  return (
    <span title={holds.map((hold) => hold.text).join('\n')}>
      <Mark kind={first.kind} word={first.text} />
    </span>
  );
}
