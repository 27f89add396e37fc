// What the server says of a policy while one writes it.
import { useEffect, useRef, useState } from 'react';
import { ApiError, sendJson } from '../../api/client';
import { useWords } from '../../i18n';
import { Mark } from '../../ui/Mark';
import { policyApi } from './paths';
import { lineAt, type Mistake } from './policyText';

/** How long after the last key the server is asked. */
const SETTLE_MS = 500;

export interface Checked {
  problems: { path: string; message: string }[];
  /** Whether the answer is about the text as it stands. */
  settled: boolean;
  /** Why there is no answer, or empty. */
  failed: string;
}

/** Asks the server what is wrong, a little after the last change. */
export function useCheck(name: string, policy: Record<string, unknown> | null): Checked {
  const [state, setState] = useState<Checked & { about: string }>({ problems: [], settled: false, failed: '', about: '' });
  const about = policy ? JSON.stringify([name, policy]) : '';
  useEffect(() => {
    if (!about) return;
    const control = new AbortController();
    const timer = window.setTimeout(() => {
      const [asked, body] = JSON.parse(about) as [string, unknown];
      // Without a service there is no name; the server says so of any name.
      sendJson<{ problems: Checked['problems'] }>(`${policyApi(asked || 'new')}/check`, body, control.signal)
        .then((answer) => setState({ problems: answer.problems, settled: true, failed: '', about }))
        .catch((cause: unknown) => {
          if (control.signal.aborted) return;
          setState({ problems: [], settled: true, failed: cause instanceof ApiError ? cause.message : String(cause), about });
        });
    }, SETTLE_MS);
    return () => {
      window.clearTimeout(timer);
      control.abort();
    };
  }, [about]);
  const none = useRef<Checked['problems']>([]);
  if (state.about !== about) return { problems: none.current, settled: false, failed: '' };
  return state;
}

/** What is wrong, each with its line; a click goes there. */
export function Verdict({ mistakes, text, settled, failed, goTo }: { mistakes: Mistake[]; text: string; settled: boolean; failed: string; goTo: (offset: number) => void }) {
  const { t, say } = useWords();
  if (mistakes.length === 0) {
    return (
      <p className="hint pad" role="status">
        {failed ? t('policy.unchecked', { reason: failed }) : settled ? <Mark kind="ok" word={t('policy.right')} /> : t('policy.checking')}
      </p>
    );
  }
  return (
    <div role="alert">
      <ul className="verdict">
        {mistakes.map(({ message, path, range }, at) => (
          <li key={`${path} ${message} ${at}`} data-row tabIndex={-1}>
            <Mark kind="critical" bare />
            {range ? (
              <button className="link" onClick={() => goTo(range.from)}>
                {t('policy.line', { line: String(lineAt(text, range.from).line) })}
              </button>
            ) : null}
            {path && <code>{path}</code>}
            <span>{say(message)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
