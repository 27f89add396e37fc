// Which lines of a plot are shown, and how strongly.
import type uPlot from 'uplot';
import type { Line } from './frame';

/**
 * Shows the isolated lines (all when none is) and lets the others fade beside a highlighted one.
 *
 * A plain `redraw()` would set the x scale to what it was at the last drawing: a plot that has just been made, or just
 * got the data of another range, would lose its scale, and with it its lines and its time axis. So only a drawing is
 * asked for, with the axes laid out anew; the scales stay what the data made them.
 */
export function showLines(plot: uPlot, lines: Line[], isolated: ReadonlySet<string>, highlighted: string | null) {
  lines.forEach((line, at) => {
    const series = plot.series[at + 1];
    if (!series) return;
    const shown = isolated.size === 0 || isolated.has(line.key);
    if (series.show !== shown) plot.setSeries(at + 1, { show: shown }, false);
    series.alpha = highlighted === null || highlighted === line.key ? 1 : 0.25;
  });
  plot.redraw(false, true);
}
