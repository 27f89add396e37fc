// Replay: a policy, as it is or edited, on the load of a past time, beside other ways to scale.
import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError, sendJson } from '../../api/client';
import type { PolicyObject, Replay } from '../../api/types';
import { useApi } from '../../api/useApi';
import { dayTime } from '../../format/time';
import { usePolicyWords, useWords } from '../../i18n';
import { useTime } from '../../time/TimeContext';
import { useParam } from '../../ui/links';
import { Empty, Panel, Ready, Skeleton } from '../../ui/Panel';
import { PolicyEditor, usePolicyText } from './PolicyEditor';
import { template, textOf } from './policyText';
import { REPLAY_RANGES, takeText } from './replay';
import { ReplayResult } from './ReplayResult';

export default function ReplayPage() {
  usePolicyWords();
  const loaded = useApi<{ policies: PolicyObject[] }>('/api/v1/scaling/policies');
  // A refresh must not take away what one writes: the policies are those of the first answer.
  const first = useRef<PolicyObject[] | null>(null);
  first.current ??= loaded.data?.policies ?? null;
  return <Ready loaded={loaded}>{(data) => <Replaying policies={first.current ?? data.policies} />}</Ready>;
}

function textOr(policy: PolicyObject | undefined): string {
  return policy ? textOf(policy) : template('');
}

function Replaying({ policies }: { policies: PolicyObject[] }) {
  const { t, say, locale } = useWords();
  const { range, spec, setSpec, utc } = useTime();
  const [chosen, setChosen] = useParam('policy');
  const [asked, setAsked] = useParam('run');
  const policy = policies.find((one) => one.name === chosen) ?? (chosen ? undefined : policies[0]);
  const name = policy?.name ?? chosen;
  const [text, setText] = useState(() => takeText(name) ?? textOr(policy));
  // What stands in the configuration file cannot be kept here, and is tried all the same.
  const fromFile = policy?.from_file ?? false;
  const of = usePolicyText(text, () => name || 'policy', fromFile);
  const { read, mistakes } = of;
  const { replay, problem, busy, run } = useReplay();
  const canRun = read.policy !== null && mistakes.length === 0 && !busy;
  const start = () => {
    if (!canRun || read.policy === null) return;
    if (asked !== '1') setAsked('1', { replace: true });
    run(read.policy, range.fromMs, range.toMs);
  };
  // A link to a replay shows one.
  const begin = useRef(asked === '1' ? start : null);
  useEffect(() => {
    begin.current?.();
    begin.current = null;
  }, []);
  if (policies.length === 0 && !chosen) return <Empty title={t('scaling.empty.title')} text={t('policies.empty_text')} />;
  return (
    <>
      <div className="replay-bar">
        <label className="replay-choice">
          <span>{t('column.policy')}</span>
          <select
            value={name}
            onChange={(event) => {
              setChosen(event.target.value);
              setText(textOr(policies.find((one) => one.name === event.target.value)));
            }}
          >
            {!policy && name && <option value={name}>{name}</option>}
            {policies.map((one) => (
              <option key={one.name} value={one.name}>
                {one.name}
              </option>
            ))}
          </select>
        </label>
        <div className="segments" role="group" aria-label={t('replay.range')}>
          {REPLAY_RANGES.map((last) => (
            <button key={last} aria-pressed={spec.from === `now-${last}` && spec.to === 'now'} onClick={() => setSpec({ from: `now-${last}`, to: 'now' })}>
              {t(`replay.last.${last}`)}
            </button>
          ))}
        </div>
        <button className="button primary" disabled={!canRun} onClick={start}>
          {busy ? t('replay.running') : t('replay.run')}
        </button>
        <span className="hint">{t('replay.span', { from: dayTime(range.fromMs, { locale, utc }), to: dayTime(range.toMs, { locale, utc }) })}</span>
      </div>
      {problem && (
        <p className="form-error pad" role="alert">
          {say(problem)}
        </p>
      )}
      {replay ? <ReplayResult replay={replay} /> : busy && <Skeleton rows={8} visible />}
      <Panel title={t('policy.text')} note={t('replay.keys')}>
        <PolicyEditor text={text} onChange={setText} onSave={start} of={of} fromFile={fromFile} readOnly={false} />
      </Panel>
    </>
  );
}

/** Runs a replay; the one before stays until there is another one. */
function useReplay() {
  const [state, setState] = useState<{ replay: Replay | null; problem: string; busy: boolean }>({ replay: null, problem: '', busy: false });
  const control = useRef<AbortController | null>(null);
  useEffect(() => () => control.current?.abort(), []);
  const run = useCallback((policy: Record<string, unknown>, fromMs: number, toMs: number) => {
    control.current?.abort();
    const own = new AbortController();
    control.current = own;
    setState((before) => ({ ...before, problem: '', busy: true }));
    sendJson<Replay>('/api/v1/scaling/replay', { policy, from_ms: fromMs, to_ms: toMs }, own.signal)
      .then((replay) => setState({ replay, problem: '', busy: false }))
      .catch((cause: unknown) => {
        if (own.signal.aborted) return;
        setState((before) => ({ ...before, problem: cause instanceof ApiError ? cause.message : String(cause), busy: false }));
      });
  }, []);
  return { ...state, run };
}
