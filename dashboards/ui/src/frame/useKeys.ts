// The page's keys. Fields keep theirs.
import { useEffect, useRef } from 'react';
import { navigate } from '../router';
import { useTime } from '../time/TimeContext';
import { useHref } from '../ui/links';
import type { Overlay } from './Frame';
import { ENTRIES } from './nav';

/** `g` waits this long for the page's letter. */
const SECOND_KEY_MS = 1500;

function inField(target: EventTarget | null): boolean {
  const element = (target as HTMLElement | null)?.shadowRoot?.activeElement ?? (target as HTMLElement | null);
  return Boolean(element?.closest?.('input, textarea, select, [contenteditable]'));
}

/** Moves the focus to the next or previous row of the page. */
function moveRow(by: 1 | -1) {
  const rows = [...document.querySelectorAll<HTMLElement>('main [data-row]')];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

export function useKeys(setOverlay: (overlay: Overlay) => void) {
  const time = useTime();
  const href = useHref();
  const latest = useRef({ time, href });
  latest.current = { time, href };

  useEffect(() => {
    let goAt = 0;
    const handler = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        setOverlay('palette');
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || inField(event.target)) return;
      if (document.querySelector('dialog[open]')) return;
      const { time, href } = latest.current;
      const entry = Date.now() - goAt < SECOND_KEY_MS ? ENTRIES.find((candidate) => candidate.key === event.key) : undefined;
      goAt = 0;
      if (entry) {
        event.preventDefault();
        navigate(href(entry.path));
        return;
      }
      const actions: Record<string, () => void> = {
        g: () => (goAt = Date.now()),
        '/': () => setOverlay('palette'),
        '.': () => setOverlay('palette'),
        '?': () => setOverlay('help'),
        '[': () => time.shiftBy(-0.5),
        ']': () => time.shiftBy(0.5),
        '+': () => time.zoomBy(0.5),
        '=': () => time.zoomBy(0.5),
        '-': () => time.zoomBy(2),
        z: () => time.back(),
        j: () => moveRow(1),
        k: () => moveRow(-1),
        f: () => document.querySelector<HTMLElement>('main [data-filter]')?.focus(),
      };
      const action = actions[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    document.addEventListener('keydown', handler);
    return () => document.removeEventListener('keydown', handler);
  }, [setOverlay]);
}
