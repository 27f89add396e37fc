// Everything by name: pages, services, hosts, metrics, alerts, tickets, recent queries, actions.
import { useEffect, useMemo, useState } from 'react';
import { navigate } from '../router';
import { getJson, withParams } from '../api/client';
import type { SearchItem } from '../api/types';
import { recentQueries } from '../editor/history';
import { setLanguage, useWords } from '../i18n';
import { setTheme, useTheme } from '../theme';
import { useTime } from '../time/TimeContext';
import { Dialog } from '../ui/Dialog';
import { Icon, type IconName } from '../ui/Icon';
import { explorePath, useHref } from '../ui/links';
import { ENTRIES } from './nav';

interface Item {
  id: string;
  group: string;
  title: string;
  detail: string;
  icon: IconName;
  run: () => void;
}

/** Typing pauses this long before the server is asked. */
const PAUSE_MS = 120;

const ICONS: Record<SearchItem['kind'], IconName> = {
  page: 'overview',
  service: 'services',
  host: 'hosts',
  metric: 'metrics',
  alert: 'alerts',
  ticket: 'alerts',
};

export function Palette({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const { t, language } = useWords();
  const [text, setText] = useState('');
  const [found, setFound] = useState<SearchItem[]>([]);
  const [chosen, setChosen] = useState(0);
  const href = useHref();
  const time = useTime();
  const theme = useTheme();

  useEffect(() => {
    const control = new AbortController();
    const timer = window.setTimeout(() => {
      if (text.trim() === '') return setFound([]);
      getJson<{ items: SearchItem[] }>(withParams('/api/v1/search', { q: text }), control.signal)
        .then((answer) => setFound(answer.items))
        .catch(() => undefined);
    }, PAUSE_MS);
    return () => {
      control.abort();
      window.clearTimeout(timer);
    };
  }, [text]);

  const items = useMemo<Item[]>(() => {
    const go = (path: string) => () => navigate(href(path));
    const matches = (title: string) => title.toLowerCase().includes(text.trim().toLowerCase());
    const pages: Item[] = ENTRIES.map((entry) => ({
      id: entry.path,
      group: 'page',
      title: t(`nav.${entry.id}`),
      detail: `g ${entry.key}`,
      icon: entry.icon,
      run: go(entry.path),
    }));
    const actions: Item[] = (
      [
        ['refresh', 'refresh', time.refreshNow],
        ['theme', theme === 'dark' ? 'sun' : 'moon', () => setTheme(theme === 'dark' ? 'light' : 'dark')],
        ['language', 'language', () => void setLanguage(language === 'en' ? 'zh' : 'en')],
        ['utc', 'clock', () => time.setUtc(!time.utc)],
        ['help', 'help', onHelp],
      ] as [string, IconName, () => void][]
    ).map(([id, icon, run]) => ({ id, group: 'action', title: t(`palette.action.${id}`), detail: '', icon, run }));
    const recent: Item[] = recentQueries().map((query) => ({
      id: `recent ${query}`,
      group: 'recent',
      title: query,
      detail: '',
      icon: 'metrics',
      run: go(explorePath(query)),
    }));
    const remote: Item[] = found
      .filter((item) => item.kind !== 'page')
      .map((item) => ({
        id: `${item.kind} ${item.href} ${item.title}`,
        group: item.kind,
        title: item.title,
        detail: item.detail,
        icon: ICONS[item.kind] ?? 'search',
        run: go(item.href),
      }));
    const local = [...pages, ...(text ? recent : recent.slice(0, 5)), ...actions].filter((item) => matches(item.title));
    return text ? [...local.filter((item) => item.group === 'page'), ...remote, ...local.filter((item) => item.group !== 'page')] : local;
  }, [text, found, t, href, time, theme, language, onHelp]);

  const at = Math.min(chosen, Math.max(0, items.length - 1));
  const run = (item: Item | undefined) => {
    if (!item) return;
    onClose();
    item.run();
  };

  return (
    <Dialog title={t('palette.title')} onClose={onClose} className="palette" bare>
      <input
        className="palette-input"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={items.length ? `palette-${at}` : undefined}
        aria-label={t('palette.title')}
        placeholder={t('palette.placeholder')}
        value={text}
        autoFocus
        onChange={(event) => {
          setText(event.target.value);
          setChosen(0);
        }}
        onKeyDown={(event) => {
          if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
            event.preventDefault();
            setChosen((at + (event.key === 'ArrowDown' ? 1 : items.length - 1)) % Math.max(1, items.length));
          }
          if (event.key === 'Enter') {
            event.preventDefault();
            run(items[at]);
          }
        }}
      />
      <ul id="palette-list" role="listbox" aria-label={t('palette.title')} className="palette-list">
        {items.map((item, index) => (
          <li
            key={item.id}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === at}
            ref={(element) => {
              if (index === at) element?.scrollIntoView({ block: 'nearest' });
            }}
            onMouseMove={() => setChosen(index)}
            onClick={() => run(item)}
          >
            <Icon name={item.icon} />
            <span className="palette-title">{item.title}</span>
            <span className="palette-detail">{item.detail}</span>
            <span className="palette-kind">{t(`palette.kind.${item.group}`)}</span>
          </li>
        ))}
        {items.length === 0 && <li className="palette-none">{t('palette.none', { text })}</li>}
      </ul>
    </Dialog>
  );
}
