// An editor for YAML: mistakes at their places, completion of keys. In a shadow root, as the query editor is and for the same
// reason: the page's content security policy allows constructed style sheets only.
import { autocompletion, completionKeymap, type CompletionContext } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentLess, indentMore } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, Prec } from '@codemirror/state';
import { EditorView, keymap, lineNumbers } from '@codemirror/view';
import { useEffect, useRef, type RefObject } from 'react';
import { colours, look, mistakes, setMistakes, typeOver, type MarkedMistake } from './base';
import { Echo } from './echo';

interface Props {
  value: string;
  onChange: (value: string) => void;
  /** Ctrl-Enter or Ctrl-S. */
  onSave: () => void;
  mistakes: MarkedMistake[];
  label: string;
  readOnly: boolean;
  /** Offered at the beginning of a line. */
  keys: readonly string[];
  /** Filled with a way to put the cursor somewhere. */
  goTo: RefObject<((offset: number) => void) | null>;
}

const margins = EditorView.theme({
  '.cm-gutters': { backgroundColor: 'transparent', borderRight: '1px solid var(--line)', color: 'var(--text-2)', fontFamily: 'var(--mono)' },
  '.cm-lineNumbers .cm-gutterElement': { padding: '0 8px', minWidth: '32px' },
  '.cm-content': { minHeight: '240px' },
  // The editor writes a height of its own beside it.
  '.cm-gutters.cm-gutters': { minHeight: '240px !important' },
});

/** Keys at the beginning of a line without indentation. */
function keysOf(keys: readonly string[]) {
  return (context: CompletionContext) => {
    const word = context.matchBefore(/^[a-z_]*/);
    const line = context.state.doc.lineAt(context.pos);
    if (word === null || word.from !== line.from || (word.from === word.to && !context.explicit)) return null;
    const taken = new Set(context.state.doc.toString().match(/^[a-z_]+(?=:)/gm));
    return { from: word.from, options: keys.filter((key) => !taken.has(key)).map((key) => ({ label: key, apply: `${key}: ` })), validFor: /^[a-z_]*$/ };
  };
}

export default function YamlEditor({ value, onChange, onSave, mistakes: marks, label, readOnly, keys, goTo }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef({ onChange, onSave });
  latest.current = { onChange, onSave };
  const changing = useRef(new Compartment());
  const echo = useRef(new Echo());
  /** While a text that someone else set is taken over. */
  const taking = useRef(false);

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const root = element.shadowRoot ?? element.attachShadow({ mode: 'open' });
    const save = () => {
      latest.current.onSave();
      return true;
    };
    const made = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: value,
        extensions: [
          history(),
          lineNumbers(),
          bracketMatching(),
          indentUnit.of('  '),
          autocompletion({ override: [keysOf(keys)] }),
          syntaxHighlighting(colours),
          yaml(),
          mistakes,
          typeOver,
          look,
          margins,
          EditorView.lineWrapping,
          changing.current.of([]),
          Prec.highest(
            keymap.of([
              { key: 'Mod-Enter', run: save },
              { key: 'Mod-s', run: save, preventDefault: true },
            ]),
          ),
          // Tab leaves the editor, so that it is no trap for the keyboard; brackets indent.
          keymap.of([
            ...completionKeymap,
            { key: 'Mod-]', run: indentMore },
            { key: 'Mod-[', run: indentLess },
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
    goTo.current = (offset) => {
      const at = Math.min(offset, made.state.doc.length);
      made.dispatch({ selection: { anchor: at }, scrollIntoView: true });
      made.focus();
    };
    return () => {
      made.destroy();
      view.current = null;
      goTo.current = null;
    };
    // The text afterwards goes through the effect below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);

  useEffect(() => {
    const extensions = [EditorView.contentAttributes.of({ 'aria-label': label }), EditorState.readOnly.of(readOnly)];
    view.current?.dispatch({ effects: changing.current.reconfigure(extensions) });
  }, [label, readOnly]);

  useEffect(() => {
    const made = view.current;
    if (!made || echo.current.isEcho(value) || made.state.doc.toString() === value) return;
    taking.current = true;
    made.dispatch({ changes: { from: 0, to: made.state.doc.length, insert: value } });
    taking.current = false;
  }, [value]);

  useEffect(() => {
    view.current?.dispatch({ effects: setMistakes.of(marks) });
  }, [marks, value]);

  return <div className={readOnly ? 'yaml read-only' : 'yaml'} ref={host} data-editor="yaml" />;
}
