// What stands around every page: rail, top bar, banner, dialogs and keys.
import { lazy, Suspense, useCallback, useEffect, useState, type ReactNode } from 'react';
import { useLocation } from '../router';
import { useWords } from '../i18n';
import { usePreference } from '../preferences';
import { Banner } from './Banner';
import { entryOf } from './nav';
import { Palette } from './Palette';
import { BottomBar, Rail } from './Rail';
import { TopBar } from './TopBar';
import { useKeys } from './useKeys';

/** Few people open it, and it takes no typing. */
const Help = lazy(() => import('./Help').then(({ Help: Page }) => ({ default: Page })));

export type Overlay = 'palette' | 'help' | null;

export function Frame({ children }: { children: ReactNode }) {
  const { t } = useWords();
  const { pathname } = useLocation();
  const [overlay, setOverlay] = useState<Overlay>(null);
  const [folded, setFolded] = usePreference<boolean>('rail.folded', false);
  useKeys(setOverlay);
  const close = useCallback(() => setOverlay(null), []);

  const entry = entryOf(pathname);
  const title = entry ? t(`nav.${entry.id}`) : t('nav.unknown');
  useEffect(() => {
    document.title = `${title} · Tidewatch`;
  }, [title]);

  return (
    <div className={folded ? 'frame folded' : 'frame'}>
      <a className="skip" href="#page">
        {t('frame.skip')}
      </a>
      <Rail folded={folded} onFold={() => setFolded(!folded)} />
      <div className="frame-main">
        <TopBar title={title} onOverlay={setOverlay} />
        <Banner />
        <main id="page" tabIndex={-1}>
          {children}
        </main>
      </div>
      <BottomBar />
      {overlay === 'palette' && <Palette onClose={close} onHelp={() => setOverlay('help')} />}
      {overlay === 'help' && (
        <Suspense fallback={null}>
          <Help onClose={close} />
        </Suspense>
      )}
    </div>
  );
}
