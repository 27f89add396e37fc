// Lines per time and severity; dragging over it zooms the page.
import { useRef, useState } from 'react';
import type { LogBucket } from '../../api/types';
import { axisTime, fullTime } from '../../format/time';
import { count } from '../../format/units';
import { useWords } from '../../i18n';
import { useTime } from '../../time/TimeContext';
import { bandOf, BANDS, type Band } from './query';

const HEIGHT = 90;
const WIDTH = 1000;

export function LogHistogram({ buckets, stepMs }: { buckets: LogBucket[]; stepMs: number }) {
  const { t, locale } = useWords();
  const { utc, select, back } = useTime();
  const box = useRef<SVGSVGElement>(null);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const [hover, setHover] = useState<number | null>(null);

  const stacks = buckets.map((bucket) => {
    const bands = new Map<Band, number>();
    for (const [severity, n] of Object.entries(bucket.counts)) bands.set(bandOf(severity), (bands.get(bandOf(severity)) ?? 0) + n);
    return { startMs: bucket.start_ms, bands, total: [...bands.values()].reduce((a, b) => a + b, 0) };
  });
  const highest = Math.max(1, ...stacks.map((stack) => stack.total));
  const present = BANDS.filter((band) => stacks.some((stack) => stack.bands.has(band)));
  const total = (band: Band) => stacks.reduce((sum, stack) => sum + (stack.bands.get(band) ?? 0), 0);
  const from = stacks[0]?.startMs ?? 0;
  const width = WIDTH / Math.max(1, stacks.length);
  const clock = { locale, utc };

  const partAt = (event: React.PointerEvent) => {
    const rect = box.current?.getBoundingClientRect();
    return rect ? Math.min(1, Math.max(0, (event.clientX - rect.left) / rect.width)) : 0;
  };
  const timeAt = (part: number) => from + part * stacks.length * stepMs;
  const summary = t('logs.histogram_summary', {
    parts: present.map((band) => `${t(`band.${band}`)} ${count(total(band), locale)}`).join(', ') || t('logs.none'),
  });
  const hovered = hover === null ? undefined : stacks[hover];
  const labelled = [0, 0.25, 0.5, 0.75].map((part) => ({ part, text: from ? axisTime(timeAt(part), (stacks.length * stepMs) / 4000, clock) : '' }));

  return (
    <div className="histogram">
      <svg
        ref={box}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={summary}
        onDoubleClick={back}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag([partAt(event), partAt(event)]);
        }}
        onPointerMove={(event) => {
          const part = partAt(event);
          setHover(Math.min(stacks.length - 1, Math.floor(part * stacks.length)));
          if (drag) setDrag([drag[0], part]);
        }}
        onPointerLeave={() => setHover(null)}
        onPointerUp={() => {
          if (drag && Math.abs(drag[1] - drag[0]) > 0.01) select(timeAt(Math.min(...drag)), timeAt(Math.max(...drag)));
          setDrag(null);
        }}
      >
        {stacks.map((stack, at) => {
          let y = HEIGHT;
          return BANDS.map((band) => {
            const n = stack.bands.get(band);
            if (!n) return null;
            const height = Math.max(1.5, (n / highest) * (HEIGHT - 4));
            y -= height;
            return <rect key={`${at} ${band}`} className={`band band-${band}`} x={at * width} width={Math.max(1, width - 2)} y={y} height={height} />;
          });
        })}
        {hover !== null && stacks.length > 0 && <rect className="histogram-hover" x={hover * width} width={width} y="0" height={HEIGHT} />}
        {drag && <rect className="histogram-drag" x={Math.min(...drag) * WIDTH} width={Math.abs(drag[1] - drag[0]) * WIDTH} y="0" height={HEIGHT} />}
      </svg>
      <div className="histogram-axis" aria-hidden="true">
        {labelled.map(({ part, text }) => (
          <span key={part}>{text}</span>
        ))}
      </div>
      <p className="histogram-legend">
        {present.map((band) => (
          <span key={band}>
            <i className={`band-dot band-${band}`} aria-hidden="true" />
            {t(`band.${band}`)} <b>{count(hovered ? (hovered.bands.get(band) ?? 0) : total(band), locale)}</b>
          </span>
        ))}
        {hovered && <time>{fullTime(hovered.startMs, clock)}</time>}
        {present.length === 0 && <span>{t('logs.none')}</span>}
      </p>
    </div>
  );
}
