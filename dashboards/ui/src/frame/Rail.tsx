import { useState } from 'react';
import { useLocation } from '../router';
import { useWords } from '../i18n';
import { Dialog } from '../ui/Dialog';
import { Icon } from '../ui/Icon';
import { To } from '../ui/links';
import { ENTRIES, entryOf, NAV, PHONE_ENTRIES, type Entry } from './nav';
import { useSession } from './session';

export function Rail({ folded, onFold }: { folded: boolean; onFold: () => void }) {
  const { t } = useWords();
  const session = useSession();
  return (
    <nav className="rail" aria-label={t('frame.pages')}>
      <To path="/" className="brand" title="Tidewatch">
        <Wave />
        <span>Tidewatch</span>
      </To>
      <div className="rail-groups">
        {NAV.map((group) => (
          <div key={group.id} className="rail-group">
            <p>{t(`nav.group.${group.id}`)}</p>
            {group.entries.map((entry) => (
              <RailLink key={entry.id} entry={entry} folded={folded} />
            ))}
          </div>
        ))}
      </div>
      <div className="rail-foot">
        <span title={t('frame.version')}>{session ? session.version : ''}</span>
        <button className="button quiet square" onClick={onFold} aria-label={t(folded ? 'frame.unfold' : 'frame.fold')}>
          <Icon name={folded ? 'unfold' : 'fold'} />
        </button>
      </div>
    </nav>
  );
}

function RailLink({ entry, folded }: { entry: Entry; folded?: boolean }) {
  const { t } = useWords();
  const { pathname } = useLocation();
  const current = entryOf(pathname)?.id === entry.id;
  return (
    <To path={entry.path} className={current ? 'rail-link current' : 'rail-link'} title={folded ? t(`nav.${entry.id}`) : undefined}>
      <Icon name={entry.icon} />
      <span>{t(`nav.${entry.id}`)}</span>
    </To>
  );
}

/** The rail of a phone. */
export function BottomBar() {
  const { t } = useWords();
  const { pathname } = useLocation();
  const [more, setMore] = useState<string | null>(null);
  const entries = ENTRIES.filter((entry) => PHONE_ENTRIES.includes(entry.id));
  const others = ENTRIES.filter((entry) => !PHONE_ENTRIES.includes(entry.id));
  // Going somewhere closes it.
  const open = more === pathname;
  const currentIsOther = others.some((entry) => entry.id === entryOf(pathname)?.id);
  return (
    <nav className="bottom-bar" aria-label={t('frame.pages')}>
      {entries.map((entry) => (
        <RailLink key={entry.id} entry={entry} />
      ))}
      <button className={currentIsOther ? 'rail-link current' : 'rail-link'} onClick={() => setMore(pathname)} aria-expanded={open}>
        <Icon name="menu" />
        <span>{t('nav.more')}</span>
      </button>
      {open && (
        <Dialog title={t('frame.pages')} onClose={() => setMore(null)} className="sheet">
          {others.map((entry) => (
            <RailLink key={entry.id} entry={entry} />
          ))}
        </Dialog>
      )}
    </nav>
  );
}

function Wave() {
  return (
    <svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true">
      <path d="M1.5 12.5c3 0 3-5 6.3-5s3.3 5 6.4 5 3.3-5 6.3-5" className="wave-1" />
      <path d="M1.5 17.5c3 0 3-3.5 6.3-3.5s3.3 3.5 6.4 3.5 3.3-3.5 6.3-3.5" className="wave-2" />
    </svg>
  );
}
