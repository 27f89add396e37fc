// One uPlot canvas: lines, bands, thresholds, a crosshair in step with the page's other charts.
import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { axisTime, fullTime } from '../format/time';
import { formatValue, type Unit } from '../format/units';
import { useWords } from '../i18n';
import { useTheme } from '../theme';
import { useTime } from '../time/TimeContext';
import { topOf, type Frame, type Line } from './frame';
import { showLines } from './shown';

export interface Threshold {
  value: number;
  label: string;
}

interface Props {
  frame: Frame;
  unit: Unit;
  height: number;
  thresholds: Threshold[];
  /** Keys of the lines that are shown; all when empty. */
  isolated: ReadonlySet<string>;
  highlighted: string | null;
  logScale?: boolean;
  label: string;
}

/** All charts of a page share it. */
const PAGE = uPlot.sync('page');
/** The left axis is as wide in all charts, so that times stand under each other. */
export const AXIS_PX = 62;
/** Room on the right for half of the last time label. */
export const RIGHT_PX = 18;
/** Lines named at the crosshair. */
const NAMED = 8;

/** There is no half replica. */
const WHOLE_STEPS = [1, 10, 100, 1000, 10_000, 100_000].flatMap((power) => [1, 2, 5].map((times) => times * power));
const IEC_STEPS = Array.from({ length: 52 }, (_, power) => 2 ** power);

export function Plot({ frame, unit, height, thresholds, isolated, highlighted, logScale, label }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const tip = useRef<HTMLDivElement>(null);
  const { locale } = useWords();
  const { utc, select, back } = useTime();
  const theme = useTheme();
  const [width, setWidth] = useState(0);

  // Handlers read the newest values without making a new plot.
  const live = useRef({ frame, thresholds, select, back, isolated, highlighted });
  live.current = { frame, thresholds, select, back, isolated, highlighted };

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const shape = frame.lines.map((line) => `${line.key}|${line.colour}|${line.kind}`).join('\n');
  useEffect(() => {
    const element = host.current;
    if (!element || width === 0) return;
    const colour = tokens(element);
    const isWhole = unit === 'count' && frame.lines.every((line) => line.kind === 'step');
    const clock = { locale, utc };
    const showTip = (u: uPlot) => renderTip(u, tip.current, live.current.frame, live.current.isolated, unit, clock, colour);
    const options: uPlot.Options = {
      width,
      height,
      padding: [8, RIGHT_PX, 0, 0],
      legend: { show: false },
      tzDate: (seconds) => (utc ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000)),
      cursor: {
        sync: { key: PAGE.key, scales: ['x', null] },
        drag: { x: true, y: false, setScale: false },
        y: false,
        points: { size: 5 },
        bind: {
          dblclick: () => () => {
            live.current.back();
            return null;
          },
        },
      },
      scales: {
        x: { time: true },
        y: logScale
          ? { distr: 3 }
          : {
              range: (_u, low) => {
                // Zero belongs to the picture; some air above the highest value.
                const { frame, thresholds, isolated } = live.current;
                const shown = isolated.size > 0 ? frame.lines.filter((line) => isolated.has(line.key)) : frame.lines;
                const top = topOf(shown, thresholds.map((threshold) => threshold.value));
                const bottom = Math.min(low ?? 0, 0);
                return top === bottom ? [bottom, bottom + 1] : [bottom * 1.05, top * 1.08];
              },
            },
      },
      axes: [
        {
          stroke: colour('--text-2'),
          font: '11px system-ui, sans-serif',
          grid: { stroke: colour('--grid'), width: 1 },
          ticks: { show: false },
          gap: 6,
          size: 26,
          space: 70,
          values: (_u, splits) => {
            const gap = (splits[1] ?? 0) - (splits[0] ?? 0);
            return splits.map((split) => axisTime(split * 1000, gap, clock));
          },
        },
        {
          stroke: colour('--text-2'),
          font: '11px system-ui, sans-serif',
          grid: { stroke: colour('--grid'), width: 1 },
          ticks: { show: false },
          gap: 6,
          size: AXIS_PX,
          space: 32,
          incrs: unit === 'bytes' || unit === 'bytes_per_second' ? IEC_STEPS : isWhole ? WHOLE_STEPS : undefined,
          values: (_u, splits) => splits.map((split) => (split === null ? '' : formatValue(split, unit, locale))),
        },
      ],
      series: [{}, ...frame.lines.map((line) => seriesOptions(line, colour))],
      bands: bandsOf(frame.lines, colour),
      hooks: {
        draw: [(u) => drawThresholds(u, live.current.thresholds, colour)],
        setSelect: [
          (u) => {
            if (u.select.width < 4) return;
            const from = u.posToVal(u.select.left, 'x') * 1000;
            const to = u.posToVal(u.select.left + u.select.width, 'x') * 1000;
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            live.current.select(from, to);
          },
        ],
        setCursor: [showTip],
      },
    };
    const made = new uPlot(options, dataOf(live.current.frame), element);
    plot.current = made;
    showLines(made, live.current.frame.lines, live.current.isolated, live.current.highlighted);
    return () => {
      made.destroy();
      plot.current = null;
    };
    // The data itself is set below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [shape, width > 0, height, unit, locale, utc, theme, logScale]);

  useEffect(() => {
    if (width > 0 && plot.current && plot.current.width !== width) plot.current.setSize({ width, height });
  }, [width, height]);

  useEffect(() => {
    plot.current?.setData(dataOf(frame));
  }, [frame]);

  useEffect(() => {
    if (plot.current) showLines(plot.current, frame.lines, isolated, highlighted);
  }, [isolated, highlighted, frame.lines]);

  const move = (event: React.KeyboardEvent) => {
    const made = plot.current;
    if (!made || (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight')) return;
    event.preventDefault();
    const now = made.cursor.idx ?? frame.times.length - 1;
    const at = Math.max(0, Math.min(frame.times.length - 1, now + (event.key === 'ArrowRight' ? 1 : -1)));
    made.setCursor({ left: made.valToPos(frame.times[at] ?? 0, 'x'), top: made.over.clientHeight / 2 });
  };

  return (
    <div className="plot-box" ref={(box) => void box?.style.setProperty('height', `${height}px`)}>
      {/* The arrow keys move the crosshair; what it shows is read out. */}
      <div className="plot" ref={host} role="img" aria-label={label} tabIndex={0} onKeyDown={move} />
      <div className="plot-tip" ref={tip} role="status" hidden />
    </div>
  );
}

function dataOf(frame: Frame): uPlot.AlignedData {
  return [frame.times, ...frame.lines.map((line) => line.values)];
}

function tokens(element: HTMLElement): (name: string) => string {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(name).trim();
}

function seriesOptions(line: Line, colour: (name: string) => string): uPlot.Series {
  const stroke = colour(`--series-${line.colour}`);
  const edge = line.kind === 'lower' || line.kind === 'upper';
  return {
    label: line.label,
    stroke: edge ? 'transparent' : stroke,
    width: edge ? 0 : 1.5,
    dash: line.kind === 'mean' ? [5, 4] : undefined,
    paths: line.kind === 'step' ? uPlot.paths.stepped?.({ align: 1 }) : undefined,
    // A lone point between gaps is drawn as a point, not lost.
    points: { show: edge ? false : undefined, size: 4, fill: stroke },
    spanGaps: false,
  };
}

function bandsOf(lines: Line[], colour: (name: string) => string): uPlot.Band[] {
  const places = (kind: Line['kind']) => lines.flatMap((line, at) => (line.kind === kind ? [at] : []));
  const lower = places('lower');
  // Bands lie on each other, so the inner one is darker.
  return places('upper').flatMap((upper, at) => {
    const below = lower[at];
    const fill = `${colour(`--series-${lines[upper]?.colour ?? 0}`)}26`;
    return below === undefined ? [] : [{ series: [upper + 1, below + 1] as [number, number], fill }];
  });
}

function drawThresholds(u: uPlot, thresholds: Threshold[], colour: (name: string) => string) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = 'right';
  ctx.textBaseline = 'bottom';
  for (const threshold of thresholds) {
    const y = u.valToPos(threshold.value, 'y', true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = colour('--threshold');
    ctx.lineWidth = ratio;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.fillStyle = colour('--threshold');
    ctx.fillText(threshold.label, bbox.left + bbox.width - 4 * ratio, y - 2 * ratio);
  }
  ctx.restore();
}

/** What the crosshair stands on: the time and the highest lines. */
function renderTip(
  u: uPlot,
  tip: HTMLDivElement | null,
  frame: Frame,
  isolated: ReadonlySet<string>,
  unit: Unit,
  clock: { locale: string; utc: boolean },
  colour: (name: string) => string,
) {
  if (!tip) return;
  const at = u.cursor.idx;
  const left = u.cursor.left ?? -1;
  // Only the chart under the pointer or with the keyboard speaks; the others show the line.
  const own = u.over.matches(':hover') || u.root.parentElement === document.activeElement;
  if (at === null || at === undefined || left < 0 || !own) {
    tip.hidden = true;
    return;
  }
  const rows = frame.lines
    .filter((line) => isolated.size === 0 || isolated.has(line.key))
    .map((line) => ({ line, value: line.values[at] ?? null }))
    .filter((row) => row.value !== null)
    .sort((a, b) => (b.value ?? 0) - (a.value ?? 0));
  const parts: HTMLElement[] = [element('div', 'plot-tip-time', fullTime((frame.times[at] ?? 0) * 1000, clock))];
  for (const { line, value } of rows.slice(0, NAMED)) {
    const row = element('div', 'plot-tip-row', '');
    const dot = element('i', '', '');
    dot.style.background = colour(`--series-${line.colour}`);
    row.append(dot, element('span', '', line.label), element('b', '', formatValue(value, unit, clock.locale)));
    parts.push(row);
  }
  if (rows.length > NAMED) parts.push(element('div', 'plot-tip-time', `+ ${rows.length - NAMED}`));
  tip.replaceChildren(...parts);
  tip.hidden = false;
  const room = u.root.clientWidth;
  const x = left + AXIS_PX;
  tip.style.left = x > room / 2 ? `${x - tip.offsetWidth - 12}px` : `${x + 12}px`;
}

function element(tag: string, className: string, text: string): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
