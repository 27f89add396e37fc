// What the editors share: their look, their colours, marks at mistakes.
import { HighlightStyle } from '@codemirror/language';
import { StateEffect, StateField } from '@codemirror/state';
import { Decoration, EditorView, type DecorationSet } from '@codemirror/view';
import { tags } from '@lezer/highlight';

export interface MarkedMistake {
  from: number;
  to: number;
  /** Shown where one points at it. */
  message?: string;
}

export const setMistakes = StateEffect.define<MarkedMistake[]>();

/** The underlined mistakes; they go away as soon as one types. */
export const mistakes = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (!effect.is(setMistakes)) continue;
      const length = transaction.newDoc.length;
      if (length === 0) {
        next = Decoration.none;
        continue;
      }
      const ranges = effect.value.map(({ from, to, message }) => {
        // A mistake at the end ("something is missing") marks the last character.
        const start = Math.max(0, Math.min(from, length - 1));
        const end = Math.min(Math.max(to, start + 1), length);
        return Decoration.mark({ class: 'cm-mistake', attributes: message ? { title: message } : undefined }).range(start, end);
      });
      next = Decoration.set(ranges, true);
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

export const look = EditorView.theme({
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

export const colours = HighlightStyle.define([
  { tag: tags.function(tags.variableName), color: 'var(--code-function)' },
  { tag: tags.keyword, color: 'var(--code-keyword)' },
  { tag: tags.modifier, color: 'var(--code-keyword)' },
  { tag: tags.operator, color: 'var(--text-2)' },
  { tag: tags.logicOperator, color: 'var(--code-keyword)' },
  { tag: tags.string, color: 'var(--code-string)' },
  { tag: tags.number, color: 'var(--code-number)' },
  { tag: tags.labelName, color: 'var(--code-label)' },
  { tag: tags.definition(tags.propertyName), color: 'var(--code-label)' },
  { tag: tags.comment, color: 'var(--text-2)' },
]);

/**
 * Typing over a selection. Left to the browser, it keeps the look of what was there in a style attribute, which the page's
 * policy refuses; so the editor's own state is changed instead.
 */
export const typeOver = EditorView.domEventHandlers({
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
