// The query editor: completion from the server's own metrics and labels, a mistake shown at its character.
//
// It lives in a shadow root: there CodeMirror puts its styles into constructed sheets, which the page's content security
// policy allows, instead of <style> elements, which it does not.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, type CompletionContext } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, Prec } from '@codemirror/state';
import { EditorView, keymap, placeholder as placeholderText } from '@codemirror/view';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { useEffect, useRef } from 'react';
import { colours, look, mistakes, setMistakes, typeOver } from './base';
import { Echo } from './echo';
import type { EditorProps } from './QueryInput';

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
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef({ onChange, onRun });
  latest.current = { onChange, onRun };
  const named = useRef(new Compartment());
  const echo = useRef(new Echo());
  /** While a text that someone else set is taken over. */
  const taking = useRef(false);

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const root = element.shadowRoot ?? element.attachShadow({ mode: 'open' });
    const promql = new PromQLExtension()
      // Mistakes come from the server, which knows what it can do.
      .activateLinter(false)
      .setComplete({ remote: { url: '', lookbackInterval: LOOK_BACK_MS, httpErrorHandler: () => undefined } });
    const made = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: value,
        extensions: [
          history(),
          closeBrackets(),
          bracketMatching(),
          autocompletion(),
          syntaxHighlighting(colours),
          promql.asExtension(),
          EditorState.languageData.of(() => [{ autocomplete: ownFunctions }]),
          mistakes,
          typeOver,
          look,
          EditorView.lineWrapping,
          named.current.of([]),
          Prec.highest(
            keymap.of([
              {
                key: 'Mod-Enter',
                run: () => {
                  latest.current.onRun();
                  return true;
                },
              },
            ]),
          ),
          // Enter takes a completion when one is offered (a keymap before this one), else it runs the query.
          keymap.of([
            ...closeBracketsKeymap,
            ...completionKeymap,
            { key: 'Shift-Enter', run: (editor) => (editor.dispatch(editor.state.replaceSelection('\n')), true) },
            {
              key: 'Enter',
              run: () => {
                latest.current.onRun();
                return true;
              },
            },
            ...defaultKeymap,
            ...historyKeymap,
          ]),
          EditorView.updateListener.of((update) => {
            if (!update.docChanged || taking.current) return;
            const text = update.state.doc.toString();
            echo.current.tell(text);
            latest.current.onChange(text);
          }),
        ],
      }),
    });
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
    // The text afterwards goes through the effect below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);

  useEffect(() => {
    const extensions = [
      EditorView.contentAttributes.of({ 'aria-label': label }),
      placeholder ? placeholderText(placeholder) : [],
    ];
    view.current?.dispatch({ effects: named.current.reconfigure(extensions) });
  }, [label, placeholder]);

  useEffect(() => {
    const made = view.current;
    if (!made || echo.current.isEcho(value) || made.state.doc.toString() === value) return;
    taking.current = true;
    made.dispatch({ changes: { from: 0, to: made.state.doc.length, insert: value } });
    taking.current = false;
  }, [value]);

  useEffect(() => {
    view.current?.dispatch({ effects: setMistakes.of(error ? [{ from: error.offset, to: error.end }] : []) });
  }, [error, value]);

  return <div className="promql" ref={host} data-editor="promql" />;
}
