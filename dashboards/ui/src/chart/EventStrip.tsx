// What was done to the platform, as ticks under a chart's axis.
import { useState } from 'react';
import type { Change } from '../api/types';
import { fullTime } from '../format/time';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';

/** As in Plot: the plotting area begins after the left axis and ends before the padding. */
const LEFT_PX = 62;
const RIGHT_PX = 6;

export function EventStrip({ events, times }: { events: Change[]; times: number[] }) {
  const { t, locale } = useWords();
  const { utc } = useTime();
  const [open, setOpen] = useState<Change | null>(null);
  const first = (times[0] ?? 0) * 1000;
  const last = (times.at(-1) ?? 1) * 1000;
  const inside = events.filter((event) => event.time_ms >= first && event.time_ms <= last);
  const part = (event: Change) => (event.time_ms - first) / Math.max(1, last - first);
  return (
    <div className="events" aria-label={t('chart.events')} role="group">
      {inside.map((event) => (
        <button
          key={`${event.time_ms} ${event.kind} ${event.summary}`}
          className={`event event-${event.kind}`}
          aria-label={`${fullTime(event.time_ms, { locale, utc })} ${event.summary}`}
          ref={(button) =>
            void button?.style.setProperty('left', `calc(${LEFT_PX}px + (100% - ${LEFT_PX + RIGHT_PX}px) * ${part(event).toFixed(4)})`)
          }
          onMouseEnter={() => setOpen(event)}
          onMouseLeave={() => setOpen(null)}
          onFocus={() => setOpen(event)}
          onBlur={() => setOpen(null)}
        />
      ))}
      {open && (
        <div
          className="event-card"
          ref={(card) => {
            if (!card) return;
            const side = part(open) > 0.5 ? 'right' : 'left';
            const at = part(open) > 0.5 ? 1 - part(open) : part(open);
            card.style.setProperty(side, `calc((100% - ${LEFT_PX}px) * ${at.toFixed(4)} + ${side === 'left' ? LEFT_PX : 0}px)`);
          }}
        >
          <b>{t(`change.${open.kind}`)}</b> <time>{fullTime(open.time_ms, { locale, utc })}</time>
          <p>{open.summary}</p>
        </div>
      )}
    </div>
  );
}
