import { LANGUAGES, setLanguage, useWords } from '../i18n';
import { setTheme, useChosenTheme, type Theme } from '../theme';
import { REFRESH, useTime } from '../time/TimeContext';
import { TimePicker } from '../time/TimePicker';
import { Icon } from '../ui/Icon';
import { Choice, Menu } from '../ui/Menu';
import { Bell } from './Bell';
import type { Overlay } from './Frame';

const THEMES: Theme[] = ['system', 'light', 'dark'];
const THEME_ICON = { system: 'system', light: 'sun', dark: 'moon' } as const;

export function TopBar({ title, onOverlay }: { title: string; onOverlay: (overlay: Overlay) => void }) {
  const { t, language } = useWords();
  const theme = useChosenTheme();
  const { refreshSeconds, setRefresh, refreshNow } = useTime();
  return (
    <header className="topbar">
      <h1>{title}</h1>
      <button className="search-button" onClick={() => onOverlay('palette')}>
        <Icon name="search" />
        <span>{t('palette.hint')}</span>
        <kbd aria-hidden="true">Ctrl K</kbd>
      </button>
      <div className="topbar-tools">
        <TimePicker />
        <div className="split">
          <button className="button quiet square" aria-label={t('refresh.now')} title={t('refresh.now')} onClick={refreshNow}>
            <Icon name="refresh" />
          </button>
          <Menu
            label={t('refresh.title')}
            text={refreshSeconds ? t('refresh.seconds', { seconds: refreshSeconds }) : t('refresh.off')}
            align="right"
            className="refresh-menu"
          >
            {(close) =>
              REFRESH.map((seconds) => (
                <Choice
                  key={seconds}
                  chosen={seconds === refreshSeconds}
                  onClick={() => {
                    setRefresh(seconds);
                    close();
                  }}
                >
                  {seconds ? t('refresh.seconds', { seconds }) : t('refresh.off')}
                </Choice>
              ))
            }
          </Menu>
        </div>
        <Bell />
        <Menu label={t('frame.language')} icon="language" align="right">
          {(close) =>
            LANGUAGES.map((choice) => (
              <Choice
                key={choice}
                chosen={choice === language}
                onClick={() => {
                  void setLanguage(choice);
                  close();
                }}
              >
                <span lang={choice}>{choice === 'en' ? 'English' : '中文'}</span>
              </Choice>
            ))
          }
        </Menu>
        <Menu label={t('frame.theme')} icon={THEME_ICON[theme]} align="right">
          {(close) =>
            THEMES.map((choice) => (
              <Choice
                key={choice}
                chosen={choice === theme}
                onClick={() => {
                  setTheme(choice);
                  close();
                }}
              >
                <Icon name={THEME_ICON[choice]} />
                {t(`theme.${choice}`)}
              </Choice>
            ))
          }
        </Menu>
        <button className="button quiet square keys" aria-label={t('help.title')} title={t('help.title')} onClick={() => onOverlay('help')}>
          <Icon name="help" />
        </button>
      </div>
    </header>
  );
}
