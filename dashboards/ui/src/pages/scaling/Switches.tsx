// What people turn: the stop switch, a service's mode, pauses, the end of a freeze. Each asks first, and why.
import { useState } from 'react';
import { sendJson } from '../../api/client';
import type { Mode, Paused, ScaledService, Stopped } from '../../api/types';
import { useWords } from '../../i18n';
import { Confirm } from '../../ui/Dialog';
import { Icon } from '../../ui/Icon';
import { useChange } from './change';

const MODES: Mode[] = ['observe', 'advise', 'act'];

/** Sends a change of one service. */
export function changeService(service: string, what: 'mode' | 'pause' | 'unfreeze', body: object): Promise<unknown> {
  return sendJson(`/api/v1/scaling/services/${encodeURIComponent(service)}/${what}`, body);
}

export function StopSwitch({ stopped, onDone }: { stopped: Stopped | null; onDone: () => void }) {
  const { t } = useWords();
  const [asking, setAsking] = useState(false);
  const { problem, run } = useChange(onDone);
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
          asksWhy
          onConfirm={(why) => run(() => sendJson('/api/v1/scaling/stop', { stopped: stopped === null, why }))}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}

/** How far the autoscaler may go with a service, and what of it is closed for now. */
export function ServiceSwitches({ service, onDone }: { service: ScaledService; onDone: () => void }) {
  const { t } = useWords();
  const [asked, setAsked] = useState<Mode | null>(null);
  const { problem, run } = useChange(onDone);
  const set = (mode: Mode, why: string) => run(() => changeService(service.service, 'mode', { mode, why }));
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
              else set(mode, '');
            }}
          >
            {t(`mode.${mode}`)}
          </button>
        ))}
      </div>
      <p className="hint">{t(`mode.${service.mode}.text`)}</p>
      <div className="mode-pauses">
        {(['in', 'out'] as const).map((direction) => (
          <PauseButton key={direction} service={service} direction={direction} onDone={onDone} />
        ))}
        <UnfreezeButton service={service} onDone={onDone} />
      </div>
      {problem && <p className="form-error">{problem}</p>}
      {asked && (
        <Confirm
          title={t('scaling.act_title', { service: service.service })}
          text={t('scaling.act_text', { min: service.min, max: service.max })}
          verb={t('mode.act')}
          asksWhy
          onConfirm={(why) => set(asked, why)}
          onClose={() => setAsked(null)}
        />
      )}
    </div>
  );
}

/** Closes a direction, or opens it again. What the policy itself closes is opened in the policy. */
export function PauseButton({ service, direction, onDone }: { service: ScaledService; direction: keyof Paused; onDone: () => void }) {
  const { t } = useWords();
  const [asking, setAsking] = useState(false);
  const { problem, busy, run } = useChange(onDone);
  const { paused } = service.held;
  const closed = paused[direction];
  const verb = t(closed ? `pause.open.${direction}` : `pause.close.${direction}`);
  return (
    <>
      <button className="button small" disabled={busy} onClick={() => setAsking(true)}>
        <Icon name={closed ? 'play' : 'pause'} size={14} />
        {verb}
      </button>
      {problem && <span className="form-error">{problem}</span>}
      {asking && (
        <Confirm
          title={t('pause.title', { verb, service: service.service })}
          text={t(closed ? `pause.open.${direction}.text` : `pause.close.${direction}.text`)}
          verb={verb}
          asksWhy
          onConfirm={(why) => run(() => changeService(service.service, 'pause', { ...paused, [direction]: !closed, why }))}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}

/** Lets a service be scaled again that was left alone after failed tries. */
export function UnfreezeButton({ service, onDone }: { service: ScaledService; onDone: () => void }) {
  const { t } = useWords();
  const [asking, setAsking] = useState(false);
  const { problem, busy, run } = useChange(onDone);
  if (service.held.frozen_since_ms === null) return null;
  return (
    <>
      <button className="button small" disabled={busy} onClick={() => setAsking(true)}>
        <Icon name="play" size={14} />
        {t('unfreeze.verb')}
      </button>
      {problem && <span className="form-error">{problem}</span>}
      {asking && (
        <Confirm
          title={t('unfreeze.title', { service: service.service })}
          text={t('unfreeze.text')}
          verb={t('unfreeze.verb')}
          asksWhy
          onConfirm={(why) => run(() => changeService(service.service, 'unfreeze', { why }))}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}
