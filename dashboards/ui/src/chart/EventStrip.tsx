// What was done to the platform, as ticks under a chart's axis. One control for all: the pointer takes the nearest tick, the
// arrow keys go from one to the next.
import { useState } from 'react';
import type { Change } from '../api/types';
import { fullTime } from '../format/time';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';
import { AXIS_PX, RIGHT_PX } from './Plot';

/** The pointer takes a tick that is at most so many pixels away. */
const REACH_PX = 12;

export function EventStrip({ events, times }: { events: Change[]; times: number[] }) {
  const { t, locale, say } = useWords();
  const { utc } = useTime();
  const [open, setOpen] = useState<number | null>(null);
  const first = (times[0] ?? 0) * 1000;
  const last = (times.at(-1) ?? 1) * 1000;
  const inside = events.filter((event) => event.time_ms >= first && event.time_ms <= last).sort((a, b) => a.time_ms - b.time_ms);
  const part = (event: Change) => (event.time_ms - first) / Math.max(1, last - first);
  const place = (event: Change) => `calc(${AXIS_PX}px + (100% - ${AXIS_PX + RIGHT_PX}px) * ${part(event).toFixed(4)})`;
  const shown = open === null ? undefined : inside[open];
  if (inside.length === 0) return <div className="events" />;

  const nearest = (x: number, width: number): number | null => {
    let best: number | null = null;
    let distance = REACH_PX;
    inside.forEach((event, at) => {
      const away = Math.abs(AXIS_PX + (width - AXIS_PX - RIGHT_PX) * part(event) - x);
      if (away <= distance) [best, distance] = [at, away];
    });
    return best;
  };

  return (
    <div
      className="events"
      role="group"
      aria-label={t('chart.events', { count: inside.length })}
      tabIndex={0}
      onMouseMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        setOpen(nearest(event.clientX - box.left, box.width));
      }}
      onMouseLeave={() => setOpen(null)}
      onBlur={() => setOpen(null)}
      onKeyDown={(event) => {
        if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
        event.preventDefault();
        const by = event.key === 'ArrowRight' ? 1 : -1;
        setOpen(Math.max(0, Math.min(inside.length - 1, open === null ? (by > 0 ? 0 : inside.length - 1) : open + by)));
      }}
    >
      {inside.map((event, at) => (
        <i
          key={`${event.time_ms} ${event.kind} ${event.summary}`}
          aria-hidden="true"
          className={`event event-${event.kind} ${at === open ? 'open' : ''}`}
          ref={(tick) => void tick?.style.setProperty('left', place(event))}
        />
      ))}
      <div role="status">
        {shown && (
          <div
            className="event-card"
            ref={(card) => {
              if (!card) return;
              const right = part(shown) > 0.5;
              card.style.left = right ? 'auto' : place(shown);
              card.style.right = right ? `calc(100% - ${place(shown).slice(4)}` : 'auto';
            }}
          >
            <b>{t(`change.${shown.kind}`)}</b> <time>{fullTime(shown.time_ms, { locale, utc })}</time>
            <p>{say(shown.summary)}</p>
          </div>
        )}
      </div>
    </div>
  );
}
