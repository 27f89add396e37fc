import { describe, expect, test } from 'vitest';
import { ago, axisTime, fromInput, fullTime, shortTime, toInput } from '../src/format/time';
import { absolute, boundMs, DEFAULT_RANGE, durationMs, fromParams, resolve, shift, SHORTEST_MS, stepped, toParams, zoom } from '../src/time/range';

const NOW = Date.UTC(2026, 2, 5, 14, 2, 31);
const HOUR = 3_600_000;

describe('a range in the URL', () => {
  test.each([
    ['', DEFAULT_RANGE],
    ['from=now-15m', { from: 'now-15m', to: 'now' }],
    ['from=1750000000000&to=1750000600000', { from: '1750000000000', to: '1750000600000' }],
    ['from=yesterday', DEFAULT_RANGE],
    ['from=now-1h&to=soon', DEFAULT_RANGE],
    ['from=now-1y', DEFAULT_RANGE],
  ])('%s', (query, expected) => {
    expect(fromParams(new URLSearchParams(query))).toEqual(expected);
  });

  test('is written beside what else is there, and read back the same', () => {
    const spec = { from: '1750000000000', to: '1750000600000' };
    const params = toParams(spec, new URLSearchParams('q=up&from=now-2h'));
    expect(params.get('q')).toBe('up');
    expect(fromParams(params)).toEqual(spec);
  });

  test('leaves the URL clean when it is the default', () => {
    expect(toParams(DEFAULT_RANGE, new URLSearchParams('from=now-2h&to=now')).toString()).toBe('');
  });
});

describe('what a range means', () => {
  test('bounds', () => {
    expect(boundMs('now', NOW)).toBe(NOW);
    expect(boundMs('now-90s', NOW)).toBe(NOW - 90_000);
    expect(boundMs('12', NOW)).toBeNull();
    expect(durationMs('2w')).toBe(14 * 24 * HOUR);
    expect(durationMs('1.5h')).toBeNull();
  });

  test('one that ends before it starts is the default', () => {
    expect(resolve({ from: '1750000600000', to: '1750000000000' }, NOW)).toEqual({ fromMs: NOW - HOUR, toMs: NOW });
  });

  test('dragging backwards is the same as forwards, and a sliver is widened', () => {
    expect(absolute(2000_000_000_000, 1999_999_000_000)).toEqual(absolute(1999_999_000_000, 2000_000_000_000));
    const sliver = absolute(NOW, NOW + 5);
    expect(Number(sliver.to) - Number(sliver.from)).toBe(SHORTEST_MS);
  });

  test('a shift never goes past now', () => {
    const range = { fromMs: NOW - HOUR, toMs: NOW };
    expect(shift(range, 0.5, NOW).to).toBe(String(NOW));
    expect(shift(range, -0.5, NOW)).toEqual({ from: String(NOW - 1.5 * HOUR), to: String(NOW - 0.5 * HOUR) });
  });

  test('a zoom of what ends now goes on ending now', () => {
    const range = { fromMs: NOW - HOUR, toMs: NOW };
    expect(zoom(DEFAULT_RANGE, range, 2, NOW)).toEqual({ from: 'now-2h', to: 'now' });
    expect(zoom(DEFAULT_RANGE, range, 0.5, NOW)).toEqual({ from: 'now-30m', to: 'now' });
    expect(zoom({ from: '1', to: '2' }, { fromMs: NOW - 3 * HOUR, toMs: NOW - 2 * HOUR }, 2, NOW)).toEqual({
      from: String(NOW - 3.5 * HOUR),
      to: String(NOW - 1.5 * HOUR),
    });
  });

  test.each([
    [5 * 60_000, 1000],
    [HOUR, 15_000],
    [24 * HOUR, 300_000],
    [30 * 24 * HOUR, 14_400_000],
    [400 * 24 * HOUR, 172_800_000],
  ])('%d ms wide asks every %d ms', (width, stepMs) => {
    const steps = stepped({ fromMs: NOW - width, toMs: NOW });
    expect(steps.stepMs).toBe(stepMs);
    expect(steps.startMs % stepMs).toBe(0);
    expect((steps.endMs - steps.startMs) / stepMs).toBeLessThanOrEqual(301);
  });
});

describe('times', () => {
  const utc = { locale: 'en-GB', utc: true };

  test('with the zone, short for today', () => {
    expect(fullTime(NOW, utc)).toBe('5 Mar 2026, 14:02:31 UTC');
    expect(shortTime(NOW, utc, NOW + HOUR)).toBe('14:02:31');
    expect(shortTime(NOW, utc, NOW + 48 * HOUR)).toBe('5 Mar, 14:02');
  });

  test('on an axis', () => {
    expect(axisTime(NOW, 10, utc)).toBe('14:02:31');
    expect(axisTime(NOW, 300, utc)).toBe('14:02');
    expect(axisTime(Date.UTC(2026, 2, 5), 6 * 3600, utc)).toBe('5 Mar');
    expect(axisTime(NOW, 86_400, utc)).toBe('5 Mar');
  });

  test('ages in words of the language', () => {
    expect(ago(NOW - 5 * 60_000, 'en-GB', NOW)).toBe('5 min ago');
    expect(ago(NOW - 5 * 60_000, 'zh-CN', NOW)).toBe('5分钟前');
    expect(ago(NOW + 5000, 'en-GB', NOW)).toBe('0 sec ago');
  });

  test('through a form field and back, in either zone', () => {
    expect(toInput(NOW, true)).toBe('2026-03-05T14:02:31');
    for (const zone of [true, false]) expect(fromInput(toInput(NOW, zone), zone)).toBe(NOW);
    expect(fromInput('nonsense', true)).toBeNull();
  });
});
