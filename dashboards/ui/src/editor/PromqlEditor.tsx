// The query editor: completion from the server's own metrics and labels, a mistake shown at its character.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, type CompletionContext } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching } from '@codemirror/language';
import { EditorState, Prec } from '@codemirror/state';
import { EditorView, keymap, placeholder as placeholderText } from '@codemirror/view';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { useMemo, useRef } from 'react';
import type { EditorProps } from './QueryInput';
import { useEditor } from './useEditor';

/** Functions that the language package does not know, because Prometheus has none such. */
const OWN_FUNCTIONS = [
  { label: 'anomaly_score', detail: '(range, [season])', info: 'How unusual the newest sample is: 3.5 and more is unusual', type: 'function' },
  { label: 'forecast', detail: '(range, horizon, [season])', info: 'The value expected in so many seconds', type: 'function' },
];

function ownFunctions(context: CompletionContext) {
  const word = context.matchBefore(/[a-zA-Z_]+$/);
  return word === null ? null : { from: word.from, options: OWN_FUNCTIONS, validFor: /^[a-zA-Z_]*$/ };
}

/** Names for completion are looked up over this much of the past. */
const LOOK_BACK_MS = 12 * 3_600_000;

export default function PromqlEditor({ value, onChange, onRun, error, label, placeholder }: EditorProps) {
  const latest = useRef(onRun);
  latest.current = onRun;
  const changing = useMemo(
    () => [EditorView.contentAttributes.of({ 'aria-label': label }), placeholder ? placeholderText(placeholder) : []],
    [label, placeholder],
  );
  const mistakes = useMemo(() => (error ? [{ from: error.offset, to: error.end }] : []), [error]);
  const extensions = () => {
    const promql = new PromQLExtension()
      // Mistakes come from the server, which knows what it can do.
      .activateLinter(false)
      .setComplete({ remote: { url: '', lookbackInterval: LOOK_BACK_MS, httpErrorHandler: () => undefined } });
    const run = () => {
      latest.current();
      return true;
    };
    return [
      history(),
      closeBrackets(),
      bracketMatching(),
      autocompletion(),
      promql.asExtension(),
      EditorState.languageData.of(() => [{ autocomplete: ownFunctions }]),
      Prec.highest(keymap.of([{ key: 'Mod-Enter', run }])),
      // Enter takes a completion when one is offered (a keymap before this one), else it runs the query.
      keymap.of([
        ...closeBracketsKeymap,
        ...completionKeymap,
        { key: 'Shift-Enter', run: (editor) => (editor.dispatch(editor.state.replaceSelection('\n')), true) },
        { key: 'Enter', run },
        ...defaultKeymap,
        ...historyKeymap,
      ]),
    ];
  };
  const { host } = useEditor({ value, onChange, mistakes, extensions, changing });

  return <div className="promql" ref={host} data-editor="promql" />;
}
