// An editor for YAML: mistakes at their places, completion of keys.
import { autocompletion, completionKeymap, type CompletionContext } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentLess, indentMore } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, indentUnit } from '@codemirror/language';
import { EditorState, Prec } from '@codemirror/state';
import { EditorView, keymap, lineNumbers } from '@codemirror/view';
import { useEffect, useMemo, useRef, type RefObject } from 'react';
import type { MarkedMistake } from './base';
import { useEditor } from './useEditor';

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

export default function YamlEditor({ value, onChange, onSave, mistakes, label, readOnly, keys, goTo }: Props) {
  const latest = useRef(onSave);
  latest.current = onSave;
  const changing = useMemo(
    () => [EditorView.contentAttributes.of({ 'aria-label': label }), EditorState.readOnly.of(readOnly)],
    [label, readOnly],
  );
  const extensions = () => {
    const save = () => {
      latest.current();
      return true;
    };
    return [
      history(),
      lineNumbers(),
      bracketMatching(),
      indentUnit.of('  '),
      autocompletion({ override: [keysOf(keys)] }),
      yaml(),
      margins,
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
    ];
  };
  const { host, view } = useEditor({ value, onChange, mistakes, extensions, changing });

  useEffect(() => {
    goTo.current = (offset) => {
      const made = view.current;
      if (!made) return;
      const at = Math.min(offset, made.state.doc.length);
      made.dispatch({ selection: { anchor: at }, scrollIntoView: true });
      made.focus();
    };
    return () => {
      goTo.current = null;
    };
  }, [goTo, view]);

  return <div className={readOnly ? 'yaml read-only' : 'yaml'} ref={host} data-editor="yaml" />;
}
