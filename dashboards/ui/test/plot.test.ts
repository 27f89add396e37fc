// @vitest-environment happy-dom
import { beforeAll, describe, expect, test, vi } from 'vitest';
import type uPlotType from 'uplot';
import type { Line } from '../src/chart/frame';

/** Everything a canvas can do, doing nothing. */
const context = new Proxy({}, { get: (_, name) => (name === 'measureText' ? () => ({ width: 10 }) : () => undefined), set: () => true });

let uPlot: typeof uPlotType;
let showLines: typeof import('../src/chart/shown').showLines;

beforeAll(async () => {
  vi.stubGlobal('devicePixelRatio', 1);
  vi.stubGlobal('Path2D', class {
    moveTo() {}
    lineTo() {}
    rect() {}
    arc() {}
    closePath() {}
    addPath() {}
  });
  HTMLCanvasElement.prototype.getContext = (() => context) as never;
  uPlot = (await import('uplot')).default;
  showLines = (await import('../src/chart/shown')).showLines;
});

const line = (key: string) => ({ key, label: key, labels: {}, kind: 'line', colour: 0, values: [], last: null, mean: null, max: null }) as Line;
const LINES = [line('a'), line('b')];
const NONE: ReadonlySet<string> = new Set();

function plot(times: number[]) {
  const box = document.createElement('div');
  document.body.append(box);
  return new uPlot(
    { width: 600, height: 200, legend: { show: false }, scales: { x: { time: true } }, axes: [{}, {}], series: [{}, { stroke: 'red' }, { stroke: 'blue' }] },
    [times, times.map((_, at) => at), times.map((_, at) => 2 * at)],
    box,
  );
}

/** uPlot draws in a microtask. */
const drawn = () => new Promise((resolve) => setTimeout(resolve, 0));
const times = (from: number) => Array.from({ length: 10 }, (_, at) => from + at * 60);
const axesShown = (made: uPlotType) => made.axes.map((axis) => (axis as { _show?: boolean })._show);

describe('a plot has its line and its time axis', () => {
  test('when what is shown is set before it was first drawn', async () => {
    const made = plot(times(1000));
    showLines(made, LINES, NONE, null);
    await drawn();
    expect([made.scales.x?.min, made.scales.x?.max]).toEqual([1000, 1540]);
    expect(axesShown(made)).toEqual([true, true]);
  });

  test('when new data and a highlight come in one breath', async () => {
    const made = plot(times(1000));
    await drawn();
    made.setData([times(5000), times(0), times(0)]);
    showLines(made, LINES, NONE, 'a');
    await drawn();
    expect([made.scales.x?.min, made.scales.x?.max]).toEqual([5000, 5540]);
    expect(made.series.slice(1).map((series) => series.alpha)).toEqual([1, 0.25]);
  });

  test('when its size changes meanwhile', async () => {
    const made = plot(times(1000));
    made.setSize({ width: 300, height: 200 });
    showLines(made, LINES, NONE, null);
    await drawn();
    expect(made.width).toBe(300);
    expect(axesShown(made)).toEqual([true, true]);
  });

  test('and only the isolated line', async () => {
    const made = plot(times(1000));
    showLines(made, LINES, new Set(['b']), null);
    await drawn();
    expect(made.series.map((series) => series.show)).toEqual([true, false, true]);
    expect(made.scales.y?.max).toBeGreaterThan(17);
  });

  test('which a plain redraw would take away', async () => {
    const made = plot(times(1000));
    made.redraw();
    await drawn();
    expect(made.scales.x?.min ?? null).toBeNull();
  });
});
