import { useWords } from '../i18n';
import { Dialog } from '../ui/Dialog';
import { ENTRIES } from './nav';

const KEYS: [string, string[]][] = [
  ['palette', ['/', 'Ctrl K']],
  ['actions', ['.']],
  ['shift', ['[', ']']],
  ['zoom', ['+', '-']],
  ['back', ['z']],
  ['rows', ['j', 'k']],
  ['open', ['Enter']],
  ['filter', ['f']],
  ['cursor', ['←', '→']],
  ['close', ['Esc']],
  ['help', ['?']],
];

export function Help({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  return (
    <Dialog title={t('help.title')} onClose={onClose} className="help">
      <div className="help-columns">
        <section>
          <h3>{t('help.go')}</h3>
          <dl>
            {ENTRIES.map((entry) => (
              <div key={entry.id}>
                <dt>{t(`nav.${entry.id}`)}</dt>
                <dd>
                  <kbd>g</kbd> <kbd>{entry.key}</kbd>
                </dd>
              </div>
            ))}
          </dl>
        </section>
        <section>
          <h3>{t('help.do')}</h3>
          <dl>
            {KEYS.map(([id, keys]) => (
              <div key={id}>
                <dt>{t(`help.key.${id}`)}</dt>
                <dd>
                  {keys.map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </dd>
              </div>
            ))}
          </dl>
        </section>
      </div>
      <p className="hint">{t('help.chart')}</p>
    </Dialog>
  );
}
