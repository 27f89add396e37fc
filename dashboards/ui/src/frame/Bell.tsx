// How many alerts fire now, and which.
import type { Alert } from '../api/types';
import { useLoad } from '../api/useApi';
import { getJson } from '../api/client';
import { useLive } from '../api/live';
import { ago } from '../format/time';
import { useWords } from '../i18n';
import { severityMark } from '../pages/severity';
import { Menu } from '../ui/Menu';
import { Mark } from '../ui/Mark';
import { To } from '../ui/links';

interface PromAlerts {
  data: { alerts: { labels: Record<string, string>; annotations: Record<string, string>; state: Alert['state']; activeAt: string }[] };
}

/** The bell lists no more; the page has the rest. */
const LISTED = 8;

export function Bell() {
  const { t, locale, say } = useWords();
  const loaded = useLoad('/api/v1/alerts', (signal) => getJson<PromAlerts>('/api/v1/alerts', signal));
  useLive(['alert'], loaded.reload);
  const firing = (loaded.data?.data.alerts ?? []).filter((alert) => alert.state === 'firing');
  return (
    <div className="bell">
      <Menu label={t('bell.title', { count: firing.length })} icon="alerts" align="right">
        {(close) => (
          <div className="bell-box" onClick={close}>
            {firing.length === 0 && <p className="hint">{t('bell.none')}</p>}
            {firing.slice(0, LISTED).map((alert) => (
              <To key={JSON.stringify(alert.labels)} path="/alerts" className="menu-item bell-item">
                <Mark kind={severityMark(alert.labels.severity)} bare />
                <span>
                  <b>{alert.labels.alertname}</b>
                  <small>{say(alert.annotations.summary ?? alert.labels.service ?? alert.labels.instance ?? '')}</small>
                </span>
                <time>{ago(Date.parse(alert.activeAt), locale)}</time>
              </To>
            ))}
            <To path="/alerts" className="menu-item">
              {t('bell.all')}
            </To>
          </div>
        )}
      </Menu>
      {firing.length > 0 && <span className="bell-count">{firing.length}</span>}
    </div>
  );
}
