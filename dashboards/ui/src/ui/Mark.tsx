// A state as a shape, a colour and a word; never a colour alone.
import type { ReactNode } from 'react';
import { useWords } from '../i18n';
import { Icon } from './Icon';

export type MarkKind = 'ok' | 'warning' | 'critical' | 'unknown' | 'muted';

/** The sign of a pause is drawn: many fonts have none, others show it as an emoji. */
const SHAPES: Record<MarkKind, ReactNode> = { ok: '●', warning: '▲', critical: '■', unknown: '◌', muted: <Icon name="pause" size={12} /> };

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
