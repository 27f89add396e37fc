// The page's one time range: quick ranges, from–to, the way back, local time or UTC.
import { useState } from 'react';
import { dayTime, fromInput, toInput } from '../format/time';
import { useWords } from '../i18n';
import { Icon } from '../ui/Icon';
import { Choice, Menu } from '../ui/Menu';
import { absolute, durationMs, QUICK, type RangeSpec } from './range';
import { useTime } from './TimeContext';

export function TimePicker() {
  const { t, locale } = useWords();
  const { spec, range, utc, setSpec, setUtc, back, canGoBack } = useTime();
  const quick = quickOf(spec);
  const clock = { locale, utc };
  const text = quick ? t(`range.last`, { span: rangeWords(quick, locale) }) : `${dayTime(range.fromMs, clock)} – ${dayTime(range.toMs, clock)}`;
  return (
    <div className="split time-picker">
      {canGoBack && (
        <button className="button quiet square" onClick={back} aria-label={t('range.back')} title={`${t('range.back')} (z)`}>
          <Icon name="back" />
        </button>
      )}
      <Menu label={t('range.title')} icon="clock" text={text} align="right">
        {(close) => (
          <div className="range-box">
            <div className="range-quick">
              {QUICK.map((choice) => (
                <Choice
                  key={choice}
                  chosen={quick === choice}
                  onClick={() => {
                    setSpec({ from: `now-${choice}`, to: 'now' });
                    close();
                  }}
                >
                  {t('range.last', { span: rangeWords(choice, locale) })}
                </Choice>
              ))}
            </div>
            <Exact key={`${spec.from} ${spec.to} ${utc}`} onDone={close} />
            <label className="menu-check">
              <input type="checkbox" checked={utc} onChange={(event) => setUtc(event.target.checked)} />
              {t('range.utc')}
            </label>
          </div>
        )}
      </Menu>
    </div>
  );
}

function Exact({ onDone }: { onDone: () => void }) {
  const { t } = useWords();
  const { range, utc, setSpec } = useTime();
  const [from, setFrom] = useState(toInput(range.fromMs, utc));
  const [to, setTo] = useState(toInput(range.toMs, utc));
  const fromMs = fromInput(from, utc);
  const toMs = fromInput(to, utc);
  const valid = fromMs !== null && toMs !== null && fromMs < toMs;
  return (
    <form
      className="range-exact"
      onSubmit={(event) => {
        event.preventDefault();
        if (!valid) return;
        setSpec(absolute(fromMs, toMs));
        onDone();
      }}
    >
      <label>
        {t('range.from')}
        <input type="datetime-local" step="1" value={from} onChange={(event) => setFrom(event.target.value)} />
      </label>
      <label>
        {t('range.to')}
        <input type="datetime-local" step="1" value={to} onChange={(event) => setTo(event.target.value)} />
      </label>
      {!valid && <p className="form-error">{t('range.invalid')}</p>}
      <button className="button primary" disabled={!valid}>
        {t('range.apply')}
      </button>
    </form>
  );
}

/** `1h` when the range is "the last hour"; null for any other. */
function quickOf(spec: RangeSpec): string | null {
  return spec.to === 'now' && spec.from.startsWith('now-') && durationMs(spec.from.slice(4)) !== null ? spec.from.slice(4) : null;
}

const UNITS = { s: 'second', m: 'minute', h: 'hour', d: 'day', w: 'week' } as const;

/** `15m` → "15 min", "15 分钟". */
function rangeWords(duration: string, locale: string): string {
  const unit = UNITS[duration.slice(-1) as keyof typeof UNITS];
  return new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'short' }).format(Number(duration.slice(0, -1)));
}
