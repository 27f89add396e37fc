// The text of a policy in its editor, checked as one writes: by this page at once, by the server a little later.
import { useMemo, useRef } from 'react';
import YamlEditor from '../../editor/YamlEditor';
import { useWords } from '../../i18n';
import { locate, POLICY_KEYS, readPolicy, type Mistake, type ReadPolicy } from './policyText';
import { useCheck, Verdict, type Checked } from './Verdict';

interface PolicyText {
  read: ReadPolicy;
  /** What the server calls it. */
  name: string;
  check: Checked;
  mistakes: Mistake[];
}

/** Reads a text and has it checked, unless it stands in the configuration file, where it was checked already. */
export function usePolicyText(text: string, nameOf: (policy: ReadPolicy['policy']) => string, fromFile: boolean): PolicyText {
  const { t } = useWords();
  const read = useMemo(() => readPolicy(text, t('policy.not_mapping')), [text, t]);
  const name = nameOf(read.policy);
  const check = useCheck(name, fromFile ? null : read.policy);
  const mistakes = useMemo<Mistake[]>(
    () => [...read.mistakes, ...check.problems.map((problem) => ({ ...problem, range: locate(read.document, problem.path) }))],
    [read, check.problems],
  );
  return { read, name, check, mistakes };
}

interface Props {
  text: string;
  onChange: (text: string) => void;
  /** Ctrl-Enter or Ctrl-S. */
  onSave: () => void;
  of: PolicyText;
  fromFile: boolean;
  readOnly: boolean;
}

/** The editor with what is wrong below it. */
export function PolicyEditor({ text, onChange, onSave, of: { mistakes, check }, fromFile, readOnly }: Props) {
  const { t, say } = useWords();
  const marks = useMemo(() => mistakes.flatMap(({ range, message }) => (range ? [{ ...range, message: say(message) }] : [])), [mistakes, say]);
  const goTo = useRef<((offset: number) => void) | null>(null);
  return (
    <>
      <div className={mistakes.length ? 'yaml-box wrong' : 'yaml-box'}>
        <YamlEditor value={text} onChange={onChange} onSave={onSave} mistakes={marks} label={t('policy.text')} readOnly={readOnly} keys={POLICY_KEYS} goTo={goTo} />
      </div>
      {!fromFile && <Verdict mistakes={mistakes} text={text} settled={check.settled} failed={check.failed} goTo={(offset) => goTo.current?.(offset)} />}
    </>
  );
}
