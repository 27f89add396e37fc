import { describe, expect, test } from 'vitest';
import { count, figure, formatValue, inferUnit, seconds, type Unit } from '../src/format/units';

describe('small parts of a core', () => {
  test.each([
    [0.00473, 'en', '4.73 mcores'],
    [0.00473, 'zh-CN', '4.73 毫核'],
    [0.25, 'en', '0.25 cores'],
    [0, 'en', '0 cores'],
  ])('%d in %s', (value, locale, text) => {
    expect(formatValue(value, 'cores', locale)).toBe(text);
  });
});

describe('values with units', () => {
  test.each<[number | null, Unit, string]>([
    [null, 'bytes', '–'],
    [NaN, 'count', '–'],
    [Infinity, 'count', '+∞'],
    [-Infinity, 'count', '−∞'],
    [0, 'bytes', '0 B'],
    [1023, 'bytes', '1,023 B'],
    [1024, 'bytes', '1 KiB'],
    [16 * 2 ** 30, 'bytes', '16 GiB'],
    [-1536, 'bytes', '-1.5 KiB'],
    [5e6, 'bytes_per_second', '4.77 MiB/s'],
    [0.4237, 'ratio', '42.4 %'],
    [42.37, 'percent', '42.4 %'],
    [0.0006, 'ratio', '0.06 %'],
    [412.4, 'rps', '412/s'],
    [2_500_000, 'rps', '2.5 M/s'],
    [0.0000025, 'seconds', '2.5 µs'],
    [0.0123, 'seconds', '12.3 ms'],
    [1.5, 'seconds', '1.5 s'],
    [600, 'seconds', '10 min'],
    [10_800, 'seconds', '3 h'],
    [864_000, 'seconds', '10 d'],
    [99_999, 'count', '99,999'],
    [123_456, 'none', '123 k'],
  ])('%d as %s is %s', (value, unit, expected) => {
    expect(formatValue(value, unit, 'en-GB')).toBe(expected);
  });

  test('three significant figures', () => {
    expect([1234.5, 123.45, 12.345, 1.2345, 0.12345, 0.012345].map((value) => figure(value, 'en-GB'))).toEqual([
      '1,235',
      '123',
      '12.3',
      '1.23',
      '0.123',
      '0.0123',
    ]);
  });

  test('whole numbers and no time', () => {
    expect(count(1_234_567, 'en-GB')).toBe('1,234,567');
    expect(count(null)).toBe('–');
    expect(seconds(0)).toBe('0 s');
  });
});

describe('the unit of a query', () => {
  test.each<[string, Unit]>([
    ['node_memory_MemAvailable_bytes', 'bytes'],
    ['rate(node_network_receive_bytes_total[1m])', 'bytes_per_second'],
    ['sum by (service) (rate(http_requests_total[5m]))', 'rps'],
    ['http_requests_total', 'none'],
    ['histogram_quantile(0.95, sum by (le) (rate(request_duration_seconds_bucket[5m])))', 'seconds'],
    ['process_start_time_seconds', 'seconds'],
    ['rate(node_cpu_seconds_total[1m])', 'none'],
    ['service_errors_ratio', 'ratio'],
    ['node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes', 'none'],
    ['rate(x_seconds_sum[1m]) / rate(x_seconds_count[1m])', 'seconds'],
    ['up', 'none'],
    ['', 'none'],
  ])('%s is in %s', (expr, expected) => {
    expect(inferUnit(expr)).toBe(expected);
  });
});
