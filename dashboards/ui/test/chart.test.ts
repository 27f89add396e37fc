import { describe, expect, test } from 'vitest';
import type { BatchResult, Chart, RawValue } from '../src/api/types';
import { forecastParts, horizonMs } from '../src/chart/forecast';
import { buildFrame, legendText, MAX_LINES, parseValue, toCsv, topOf, type Line } from '../src/chart/frame';
import { assignColours, hash, labelKey, SERIES_COLOURS } from '../src/chart/palette';
import { scalingSeries, withCapacity } from '../src/chart/scaling';
import { frameOf, queriesOf } from '../src/chart/served';

const STEPS = { startMs: 10_000, endMs: 14_000, stepMs: 1000 };

function result(...matrix: { labels: Record<string, string>; points: [number, RawValue][] }[]): BatchResult {
  return { id: 'a', matrix, error: null, stats: null, warnings: [] };
}

describe('colours', () => {
  test('follow from the labels, whatever their order and the metric', () => {
    expect(labelKey({ b: '2', a: '1', __name__: 'x' })).toBe(labelKey({ __name__: 'y', a: '1', b: '2' }));
    expect(hash('service=checkout')).toBe(hash('service=checkout'));
    const alone = assignColours(['service=checkout'])[0];
    expect(assignColours(['service=checkout', 'service=search'])[0]).toBe(alone);
  });

  test('are all different as long as there are enough', () => {
    const colours = assignColours(Array.from({ length: SERIES_COLOURS }, (_, at) => `service=${at}`));
    expect(new Set(colours).size).toBe(SERIES_COLOURS);
    expect(assignColours(Array.from({ length: 30 }, (_, at) => `${at}`)).every((colour) => colour >= 0 && colour < SERIES_COLOURS)).toBe(true);
  });

  test('known hashes, so that a change is noticed', () => {
    expect(hash('')).toBe(0x811c9dc5);
    expect(hash('a')).toBe(0xe40c292c);
  });
});

describe('a frame', () => {
  test('keeps gaps as gaps', () => {
    const frame = buildFrame([{ result: result({ labels: { a: '1' }, points: [[10_000, 1], [12_000, 'NaN'], [14_000, '3']] }), legend: '', kind: 'line' }], STEPS);
    expect(frame.times).toEqual([10, 11, 12, 13, 14]);
    expect(frame.lines[0]?.values).toEqual([1, null, null, null, 3]);
    expect(frame.lines[0]).toMatchObject({ last: 3, mean: 2, max: 3, label: '{a="1"}' });
  });

  test('shows the highest and tells how many it leaves out', () => {
    const many = Array.from({ length: 25 }, (_, at) => ({ labels: { n: String(at) }, points: [[14_000, at]] as [number, RawValue][] }));
    const frame = buildFrame([{ result: result(...many), legend: '{{n}}', kind: 'line' }], STEPS);
    expect(frame.lines).toHaveLength(MAX_LINES);
    expect(frame.hidden).toBe(5);
    expect(frame.lines[0]?.label).toBe('24');
  });

  test('stands for a missing or failed result as empty', () => {
    expect(buildFrame([{ result: undefined, legend: '', kind: 'line' }], STEPS).lines).toEqual([]);
  });

  test('reads what the API writes of numbers', () => {
    expect([1, '2.5', 'NaN', '+Inf', '-Inf', null].map(parseValue)).toEqual([1, 2.5, null, null, null, null]);
  });

  test('legends', () => {
    expect(legendText('{{mode}} on {{ host }}', { mode: 'idle', host: 'a' })).toBe('idle on a');
    expect(legendText('{{absent}}', {})).toBe('');
    expect(legendText('', { __name__: 'up', job: 'node' })).toBe('up{job="node"}');
    expect(legendText('', {})).toBe('{}');
  });

  test('as CSV, quoted', () => {
    const frame = buildFrame([{ result: result({ labels: { a: 'x"y' }, points: [[10_000, 1]] }), legend: '', kind: 'line' }], { ...STEPS, endMs: 11_000 });
    expect(toCsv(frame)).toBe('time,"{a=""x""y""}"\n1970-01-01T00:00:10.000Z,1\n1970-01-01T00:00:11.000Z,');
  });
});

describe('forecasts', () => {
  test('are drawn at the time that they are about, as a mean with its bands', () => {
    const one = (quantile: string) => ({ labels: { quantile, horizon: '2s' }, points: [[10_000, 5]] as [number, RawValue][] });
    const all = result(one('mean'), one('lower80'), one('upper80'), one('lower95'), one('upper95'));
    expect(horizonMs(all)).toBe(2000);
    const frame = buildFrame(forecastParts(all, 'load'), STEPS);
    expect(frame.lines.map((line) => [line.kind, line.labels.quantile])).toEqual([
      ['upper', 'upper95'],
      ['upper', 'upper80'],
      ['mean', 'mean'],
      ['lower', 'lower95'],
      ['lower', 'lower80'],
    ]);
    expect(frame.lines[2]?.values).toEqual([null, null, 5, null, null]);
  });

  test('of a page’s chart come with one query and lie over its own lines', () => {
    const chart = { id: 'c', queries: [{ expr: 'load', legend: 'load' }], forecast: { query: 'tidewatch_forecast{watch="x"}' } } as Chart;
    expect(queriesOf(chart).map((query) => query.expr)).toEqual(['load', 'tidewatch_forecast{watch="x"}']);
    const one = (quantile: string, value: number) => ({ labels: { quantile, horizon: '1s' }, points: [[10_000, value]] as [number, RawValue][] });
    const results = new Map([
      ['c:0', result({ labels: {}, points: [[10_000, 3]] })],
      ['c:forecast', result(one('mean', 5), one('lower80', 4), one('upper80', 6))],
    ]);
    const frame = frameOf(chart, { results, steps: STEPS });
    expect(frame.lines.map((line) => [line.kind, line.values[0], line.values[1]])).toEqual([
      ['line', 3, null],
      ['upper', null, 6],
      ['mean', null, 5],
      ['lower', null, 4],
    ]);
    expect(new Set(frame.lines.map((line) => line.colour)).size).toBe(1);
  });

  test('about another time than the chart’s are left out', () => {
    const [part] = forecastParts(result({ labels: { quantile: 'mean', horizon: '1d' }, points: [[10_000, 5]] }), 'load');
    expect(buildFrame(part ? [part] : [], STEPS).lines).toEqual([]);
  });

  test('do not press the lines down', () => {
    const line = (kind: Line['kind'], max: number | null) => ({ kind, max }) as Line;
    expect(topOf([line('line', 10), line('upper', 12)], [])).toBe(12);
    expect(topOf([line('line', 10), line('mean', 11), line('upper', 90)], [])).toBe(22);
    expect(topOf([line('line', 10), line('upper', 90)], [60])).toBe(90);
    expect(topOf([line('line', null), line('upper', 90)], [])).toBe(90);
    expect(topOf([], [])).toBe(0);
  });

  test('an edge alone is a line', () => {
    const parts = forecastParts(result({ labels: { quantile: 'upper95' }, points: [] }), '');
    expect(parts.map((part) => part.kind)).toEqual(['mean']);
  });
});

describe('capacity', () => {
  const replicas = buildFrame([{ result: result({ labels: {}, points: [[12_000, 1], [13_000, 4]] }), legend: 'wanted', kind: 'step' }], STEPS);
  const load = buildFrame([{ result: result({ labels: {}, points: [[10_000, 100], [13_000, 300]] }), legend: 'load', kind: 'line' }], STEPS);

  test('is what the wanted replicas carry; before the service existed it is a gap', () => {
    expect(withCapacity(load, replicas, 100, 'capacity').lines.at(-1)).toMatchObject({ kind: 'step', values: [null, null, 100, 400, null], last: 400 });
  });

  test('is left out without a target or without replicas', () => {
    expect(withCapacity(load, replicas, null, 'capacity')).toBe(load);
    expect(withCapacity(load, buildFrame([], STEPS), 100, 'capacity')).toBe(load);
  });

  test('names are quoted', () => {
    expect(scalingSeries('ready', { cluster: 'a', service: 'x"y' })).toBe('max(tidewatch_scaling_ready_replicas{cluster="a", service="x\\"y"})');
  });
});
