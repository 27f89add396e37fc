// The editor, and a plain field until it is loaded.
import { lazy, Suspense } from 'react';
import type { ApiProblem } from '../api/types';
import { useWords } from '../i18n';

export interface EditorProps {
  value: string;
  onChange: (value: string) => void;
  onRun: () => void;
  error: ApiProblem['position'];
  label: string;
  placeholder?: string;
}

const PromqlEditor = lazy(() => import('./PromqlEditor'));

export function QueryInput(props: EditorProps & { problem: string | null }) {
  const { problem, ...editor } = props;
  return (
    <div className={problem ? 'query-input wrong' : 'query-input'}>
      <Suspense fallback={<PlainInput {...editor} />}>
        <PromqlEditor {...editor} />
      </Suspense>
      {problem && <Mistake text={props.value} problem={problem} position={props.error} />}
    </div>
  );
}

function PlainInput({ value, onChange, onRun, label, placeholder }: EditorProps) {
  return (
    <textarea
      className="promql"
      rows={1}
      aria-label={label}
      placeholder={placeholder}
      value={value}
      onChange={(event) => onChange(event.target.value)}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || event.shiftKey) return;
        event.preventDefault();
        onRun();
      }}
    />
  );
}

/** The mistake in words, with its line, and a caret under its character. */
function Mistake({ text, problem, position }: { text: string; problem: string; position: ApiProblem['position'] }) {
  const { t } = useWords();
  const line = position ? (text.split('\n')[position.line - 1] ?? '') : '';
  return (
    <div className="mistake" role="alert">
      <p>
        <span aria-hidden="true">■</span> {problem}
        {position && <span className="mistake-at">{t('query.at', { line: position.line, column: position.column })}</span>}
      </p>
      {position && line.length < 100 && (
        <pre aria-hidden="true">
          {line}
          {'\n'}
          {' '.repeat(Math.max(0, position.column - 1))}^
        </pre>
      )}
    </div>
  );
}
