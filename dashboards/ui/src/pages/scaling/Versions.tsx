// The versions of a policy, and what each changed.
import { useMemo } from 'react';
import type { PolicyVersion } from '../../api/types';
import { useWords } from '../../i18n';
import { useParam } from '../../ui/links';
import { Mark } from '../../ui/Mark';
import { Panel } from '../../ui/Panel';
import { Time } from '../parts';
import { diffLines } from './diff';
import { toYaml } from './policyText';

/** What changed, line by line. */
export function Diff({ before, after }: { before: string; after: string }) {
  const { t } = useWords();
  const lines = useMemo(() => diffLines(before, after), [before, after]);
  if (lines.every((line) => line.kind === 'same')) return <p className="hint pad">{t('policy.same')}</p>;
  const sign = { same: ' ', added: '+', removed: '−' };
  return (
    <pre className="diff" tabIndex={0} role="group" aria-label={t('policy.diff')}>
      {lines.map((line, at) => (
        <span key={at} className={`diff-${line.kind}`}>
          <span aria-hidden="true">{sign[line.kind]} </span>
          {line.kind !== 'same' && <span className="sr">{t(`policy.diff.${line.kind}`)} </span>}
          {line.text}
          {'\n'}
        </span>
      ))}
    </pre>
  );
}

export function Versions({ versions, onTake }: { versions: PolicyVersion[]; onTake: (text: string) => void }) {
  const { t } = useWords();
  const [open, setOpen] = useParam('version');
  return (
    <Panel title={t('policy.versions')} note={t('policy.versions_note')}>
      <ol className="versions">
        {versions.map((version, at) => {
          const isOpen = open === String(version.version);
          const before = versions[at + 1]?.policy ?? null;
          const toggle = () => setOpen(isOpen ? null : String(version.version), { replace: true });
          return (
            <li key={version.version} data-row tabIndex={-1} onKeyDown={(event) => event.key === 'Enter' && event.target === event.currentTarget && toggle()}>
              <button className="version-row" aria-expanded={isOpen} onClick={toggle}>
                <b>{t('policies.version', { version: String(version.version) })}</b>
                <Time ms={version.time_ms} />
                <span>{version.actor}</span>
                {version.policy === null && <Mark kind="muted" word={t('policy.removed')} />}
              </button>
              {isOpen && (
                <div className="version-detail">
                  <Diff before={before === null ? '' : toYaml(before)} after={version.policy === null ? '' : toYaml(version.policy)} />
                  {version.policy !== null && (
                    <button className="button small" onClick={() => onTake(toYaml(version.policy))}>
                      {t('policy.take')}
                    </button>
                  )}
                </div>
              )}
            </li>
          );
        })}
      </ol>
    </Panel>
  );
}
