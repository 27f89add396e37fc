// One policy: its YAML in an editor that says what is wrong where, its versions, and what each changed.
import { useEffect, useMemo, useState } from 'react';
import { changeJson, getJson, withParams } from '../../api/client';
import type { PolicyObject, PolicyVersion } from '../../api/types';
import { useLoad } from '../../api/useApi';
import { usePolicyWords, useWords } from '../../i18n';
import { navigate } from '../../router';
import { Confirm } from '../../ui/Dialog';
import { useParam } from '../../ui/links';
import { Mark } from '../../ui/Mark';
import { Panel, Ready } from '../../ui/Panel';
import { Time } from '../parts';
import { useChange } from './change';
import { NEW_POLICY, policyApi, replayPath } from './paths';
import { PolicyEditor, usePolicyText } from './PolicyEditor';
import { template, textOf, toYaml } from './policyText';
import { carryText } from './replay';
import { Diff, Versions } from './Versions';

interface Kept {
  policy: PolicyObject | null;
  versions: PolicyVersion[];
}

const NOTHING: Kept = { policy: null, versions: [] };

export default function PolicyPage() {
  usePolicyWords();
  const { t } = useWords();
  const [name, setName] = useParam('policy');
  // A refresh must not take away what one writes, so it is loaded once and after each change.
  const load = (signal: AbortSignal) => (name === NEW_POLICY ? Promise.resolve(NOTHING) : getJson<Kept>(policyApi(name), signal));
  const loaded = useLoad<Kept>(name, load, true);
  return (
    <>
      <button className="link back" onClick={() => setName(null)}>
        ← {t('policies.all')}
      </button>
      <Ready loaded={loaded} rows={8}>
        {(kept) => <Editing kept={kept} name={name} reload={loaded.reload} onName={setName} />}
      </Ready>
    </>
  );
}

function Editing({ kept, name, reload, onName }: { kept: Kept; name: string; reload: () => void; onName: (name: string | null) => void }) {
  const { t, say } = useWords();
  const [forService] = useParam('for');
  const { policy, versions } = kept;
  const isNew = name === NEW_POLICY;
  const fromFile = policy?.from_file ?? false;
  const present = useMemo(() => (policy ? textOf(policy) : ''), [policy]);
  const [text, setText] = useState(() => (policy ? present : isNew ? template(forService) : lastText(versions)));
  const of = usePolicyText(text, (read) => (isNew ? nameIn(read) : name), fromFile);
  const { read, name: target, check, mistakes } = of;
  const [asking, setAsking] = useState<'save' | 'delete' | null>(null);
  const changed = text !== present;
  // Kept is what the text means: neither comments nor how it is laid out.
  const meant = useMemo(() => (read.policy ? toYaml(read.policy) : text), [read, text]);
  const canSave = !fromFile && meant !== present && read.policy !== null && mistakes.length === 0 && check.settled && target !== '';
  const done = () => {
    if (isNew) onName(target);
    else reload();
  };
  const [overtaken, setOvertaken] = useState(false);
  const change = useChange(
    () => {
      setOvertaken(false);
      done();
    },
    () => {
      // What one wrote stays; the next try is compared with what is there by now.
      setOvertaken(true);
      reload();
    },
  );
  const save = (why: string) =>
    change.run(() => changeJson('PUT', withParams(policyApi(target), { version: String(policy?.version ?? 0), why }), read.policy));
  const replay = () => {
    carryText(target, text);
    navigate(replayPath(target));
  };
  // Unsaved text is not lost by a slip.
  useEffect(() => {
    if (!changed || fromFile) return;
    const leave = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', leave);
    return () => window.removeEventListener('beforeunload', leave);
  }, [changed, fromFile]);
  return (
    <>
      <div className="policy-head">
        <h1 className="policy-name">{isNew ? t('policies.new') : name}</h1>
        {policy && (
          <Mark
            kind={policy.problem ? 'critical' : 'ok'}
            word={policy.problem ? t('policies.not_in_force') : t('policies.in_force')}
          />
        )}
        <span className="hint">
          {fromFile ? (
            t('policy.from_file')
          ) : policy ? (
            <>
              {t('policies.version', { version: String(policy.version) })} · {policy.actor} · <Time ms={policy.updated_at_ms} relative />
            </>
          ) : (
            !isNew && t('policy.removed')
          )}
        </span>
      </div>
      {policy?.problem && <p className="note">{say(policy.problem)}</p>}
      <Panel
        title={t('policy.text')}
        note={fromFile ? t('policy.read_only') : t('policy.keys')}
        actions={
          <>
            <button className="button small" disabled={read.policy === null || mistakes.length > 0 || target === ''} onClick={replay}>
              {t('policy.replay')}
            </button>
            {!fromFile && (
              <>
                {policy && (
                  <button className="button small danger-quiet" onClick={() => setAsking('delete')}>
                    {t('policy.delete')}
                  </button>
                )}
                <button className="button small" disabled={!changed} onClick={() => setText(policy ? present : template(forService))}>
                  {t('policy.revert')}
                </button>
                <button className="button small primary" disabled={!canSave || change.busy} onClick={() => setAsking('save')}>
                  {t('policy.save')}
                </button>
              </>
            )}
          </>
        }
      >
        <PolicyEditor text={text} onChange={setText} onSave={() => canSave && setAsking('save')} of={of} fromFile={fromFile} readOnly={fromFile} />
        {change.problem && (
          <p className="form-error pad" role="alert">
            {change.problem}
            {overtaken && <> · {t('policy.overtaken')}</>}
          </p>
        )}
      </Panel>
      {versions.length > 0 && <Versions versions={versions} onTake={setText} />}
      {asking === 'save' && (
        <Confirm
          title={t('policy.save_title', { name: target, version: String((policy?.version ?? 0) + 1) })}
          text={t('policy.save_text')}
          verb={t('policy.save')}
          asksWhy
          className="wide"
          onConfirm={save}
          onClose={() => setAsking(null)}
        >
          <Diff before={present} after={meant} />
        </Confirm>
      )}
      {asking === 'delete' && (
        <Confirm
          title={t('policy.delete_title', { name })}
          text={t('policy.delete_text', { service: policy?.service })}
          verb={t('policy.delete')}
          danger
          asksWhy
          onConfirm={(why) => change.run(() => changeJson('DELETE', withParams(policyApi(name), { why })))}
          onClose={() => setAsking(null)}
        />
      )}
    </>
  );
}

/** The name that a new policy is kept under. */
function nameIn(policy: Record<string, unknown> | null): string {
  const name = policy?.name ?? policy?.service;
  return typeof name === 'string' ? name : '';
}

/** Of a policy that was removed: what it was before. */
function lastText(versions: PolicyVersion[]): string {
  const last = versions.find((version) => version.policy !== null);
  return last ? toYaml(last.policy) : '';
}
