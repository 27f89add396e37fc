import { useSyncExternalStore } from 'react';
import { connection } from '../api/client';
import { clockTime } from '../format/time';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';

/** The server is gone: what is on the page stays, and it is asked again on its own. */
export function Banner() {
  const { t, locale } = useWords();
  const { utc } = useTime();
  const gone = useSyncExternalStore(connection.subscribe, connection.isGone);
  if (!gone) return null;
  return (
    <div className="banner" role="alert">
      <span aria-hidden="true">■</span>
      <span>{t('banner.gone', { time: clockTime(connection.since(), { locale, utc }) })}</span>
      <button className="button" onClick={connection.retry}>
        {t('action.retry')}
      </button>
    </div>
  );
}
