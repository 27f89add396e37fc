// A state as a shape, a colour and a word; never a colour alone.
import { useWords } from '../i18n';

export type MarkKind = 'ok' | 'warning' | 'critical' | 'unknown' | 'muted';

const SHAPES: Record<MarkKind, string> = { ok: '●', warning: '▲', critical: '■', unknown: '◌', muted: '⏸' };

/** `word` replaces the kind's own word; `bare` leaves it to screen readers. */
export function Mark({ kind, word, bare }: { kind: MarkKind; word?: string; bare?: boolean }) {
  const { t } = useWords();
  const text = word ?? t(`mark.${kind}`);
  return (
    <span className={`mark mark-${kind}`}>
      <span aria-hidden="true" className="mark-shape">
        {SHAPES[kind]}
      </span>
      <span className={bare ? 'sr' : 'mark-word'}>{text}</span>
    </span>
  );
}
