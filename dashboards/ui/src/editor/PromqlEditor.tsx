// The query editor: completion from the server's own metrics and labels, a mistake shown at its character.
//
// It lives in a shadow root: there CodeMirror puts its styles into constructed sheets, which the page's content security
// policy allows, instead of <style> elements, which it does not.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, type CompletionContext } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, Prec, StateEffect, StateField } from '@codemirror/state';
import { Decoration, EditorView, keymap, placeholder as placeholderText, type DecorationSet } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { useEffect, useRef } from 'react';
import { Echo } from './echo';
import type { EditorProps } from './QueryInput';

const setMistake = StateEffect.define<{ from: number; to: number } | null>();

const mistakeMark = Decoration.mark({ class: 'cm-mistake' });

/** The underlined mistake; it goes away as soon as one types. */
const mistakes = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (!effect.is(setMistake)) continue;
      const length = transaction.newDoc.length;
      if (effect.value === null || length === 0) {
        next = Decoration.none;
        continue;
      }
      // A mistake at the end ("something is missing") marks the last character.
      const from = Math.min(effect.value.from, length - 1);
      const to = Math.min(Math.max(effect.value.to, from + 1), length);
      next = Decoration.set([mistakeMark.range(from, to)]);
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const look = EditorView.theme({
  '&': { fontSize: '13px', backgroundColor: 'transparent', color: 'var(--text)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '20px' },
  '.cm-content': { padding: '6px 0', caretColor: 'var(--text)' },
  '.cm-line': { padding: '0 8px' },
  '.cm-placeholder': { color: 'var(--text-2)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--select) !important' },
  '.cm-matchingBracket': { backgroundColor: 'var(--select)', outline: 'none' },
  '.cm-mistake': {
    textDecoration: 'underline wavy var(--critical)',
    textUnderlineOffset: '3px',
    backgroundColor: 'var(--critical-ground)',
  },
  '.cm-tooltip': {
    backgroundColor: 'var(--raised)',
    border: '1px solid var(--line)',
    borderRadius: '6px',
    boxShadow: 'var(--shadow)',
    color: 'var(--text)',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', fontSize: '12px', maxHeight: '260px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 8px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-completionDetail': { color: 'inherit', opacity: '0.75', marginLeft: '12px', fontStyle: 'normal' },
  '.cm-completionInfo': { maxWidth: '320px', padding: '8px', fontFamily: 'var(--sans)' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
});

const colours = HighlightStyle.define([
  { tag: tags.function(tags.variableName), color: 'var(--code-function)' },
  { tag: tags.keyword, color: 'var(--code-keyword)' },
  { tag: tags.modifier, color: 'var(--code-keyword)' },
  { tag: tags.operator, color: 'var(--text-2)' },
  { tag: tags.logicOperator, color: 'var(--code-keyword)' },
  { tag: tags.string, color: 'var(--code-string)' },
  { tag: tags.number, color: 'var(--code-number)' },
  { tag: tags.labelName, color: 'var(--code-label)' },
  { tag: tags.comment, color: 'var(--text-2)' },
]);

/**
 * Typing over a selection. Left to the browser, it keeps the look of what was there in a style attribute, which the page's
 * policy refuses; so the editor's own state is changed instead.
 */
const typeOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    const text = event.data;
    if (event.inputType !== 'insertText' || text === null || empty || event.isComposing) return false;
    event.preventDefault();
    const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: 'input.type', scrollIntoView: true });
    // Brackets and quotes go around what is selected.
    if (!view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, text, insert))) view.dispatch(insert());
    return true;
  },
});

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
    view.current?.dispatch({ effects: setMistake.of(error ? { from: error.offset, to: error.end } : null) });
  }, [error, value]);

  return <div className="promql" ref={host} data-editor="promql" />;
}
