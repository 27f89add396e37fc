// What the editors do alike: one CodeMirror in a shadow root, its text kept in step with its page's, marks at mistakes.
//
// In a shadow root CodeMirror puts its styles into constructed sheets, which the page's content security policy allows, instead
// of <style> elements, which it does not.
import { syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, type Extension } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { useEffect, useRef, type RefObject } from 'react';
import { colours, look, mistakes, setMistakes, typeOver, type MarkedMistake } from './base';
import { Echo } from './echo';

interface Options {
  value: string;
  onChange: (value: string) => void;
  mistakes: MarkedMistake[];
  /** Language, keys and whatever else stays as it is from the first drawing on. */
  extensions: () => Extension[];
  /** What may change later; keep it from drawing to drawing (`useMemo`) while it does not. */
  changing: Extension;
}

export function useEditor({ value, onChange, mistakes: marks, extensions, changing }: Options) {
  const host = useRef<HTMLDivElement>(null);
  const view: RefObject<EditorView | null> = useRef<EditorView | null>(null);
  const latest = useRef(onChange);
  latest.current = onChange;
  const compartment = useRef(new Compartment());
  const echo = useRef(new Echo());
  /** While a text that someone else set is taken over. */
  const taking = useRef(false);

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const root = element.shadowRoot ?? element.attachShadow({ mode: 'open' });
    const made = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: value,
        extensions: [
          syntaxHighlighting(colours),
          mistakes,
          typeOver,
          look,
          EditorView.lineWrapping,
          compartment.current.of([]),
          extensions(),
          EditorView.updateListener.of((update) => {
            if (!update.docChanged || taking.current) return;
            const text = update.state.doc.toString();
            echo.current.tell(text);
            latest.current(text);
          }),
        ],
      }),
    });
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
    // What comes afterwards goes through the effects below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);

  useEffect(() => {
    view.current?.dispatch({ effects: compartment.current.reconfigure(changing) });
  }, [changing]);

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

  return { host, view };
}
