// The rail's entries and the keys that lead to them.
import type { IconName } from '../ui/Icon';

export interface Entry {
  id: string;
  path: string;
  icon: IconName;
  /** Pressed after `g`. */
  key: string;
}

export interface Group {
  id: string;
  entries: Entry[];
}

export const NAV: Group[] = [
  {
    id: 'watch',
    entries: [
      { id: 'overview', path: '/', icon: 'overview', key: 'o' },
      { id: 'services', path: '/services', icon: 'services', key: 's' },
      { id: 'hosts', path: '/hosts', icon: 'hosts', key: 'h' },
      { id: 'metrics', path: '/explore', icon: 'metrics', key: 'm' },
      { id: 'logs', path: '/logs', icon: 'logs', key: 'l' },
    ],
  },
  { id: 'understand', entries: [{ id: 'alerts', path: '/alerts', icon: 'alerts', key: 'a' }] },
  {
    id: 'act',
    entries: [
      { id: 'autoscaling', path: '/autoscaling', icon: 'autoscaling', key: 'c' },
      { id: 'reports', path: '/reports', icon: 'reports', key: 'r' },
    ],
  },
  {
    id: 'system',
    entries: [
      { id: 'targets', path: '/targets', icon: 'targets', key: 't' },
      { id: 'status', path: '/status', icon: 'status', key: 'u' },
    ],
  },
];

export const ENTRIES: Entry[] = NAV.flatMap((group) => group.entries);

/** On a phone's bottom bar; the others stand behind "more". */
export const PHONE_ENTRIES = ['overview', 'services', 'logs', 'alerts'];

/** The entry that a path belongs to. */
export function entryOf(pathname: string): Entry | undefined {
  if (pathname.startsWith('/tickets')) return ENTRIES.find((entry) => entry.id === 'alerts');
  return ENTRIES.find((entry) => (entry.path === '/' ? pathname === '/' : pathname.startsWith(entry.path)));
}
