import { describe, expect, test } from 'vitest';
import { withParams } from '../src/api/client';
import { ENTRIES, entryOf } from '../src/frame/nav';
import { bandOf, patternNumber, queryMistake, quoted, withCondition } from '../src/pages/logs/query';
import { matchPath } from '../src/router';
import { rowAt } from '../src/ui/useVirtual';

describe('paths', () => {
  test.each([
    ['/', '/', {}],
    ['/hosts', '/hosts/', {}],
    ['/hosts/:host', '/hosts/db-01.example', { host: 'db-01.example' }],
    ['/services/:service', '/services/a%2Fb', { service: 'a/b' }],
    ['/services/:service', '/services/100%', { service: '100%' }],
    ['/hosts/:host', '/hosts', null],
    ['/hosts', '/hosts/a', null],
  ])('%s of %s', (pattern, pathname, expected) => {
    expect(matchPath(pattern, pathname)).toEqual(expected);
  });

  test('belong to an entry of the rail', () => {
    expect(entryOf('/')?.id).toBe('overview');
    expect(entryOf('/hosts/a')?.id).toBe('hosts');
    expect(entryOf('/tickets/7')?.id).toBe('alerts');
    expect(entryOf('/nowhere')).toBeUndefined();
  });

  test('and every entry has a key of its own', () => {
    expect(new Set(ENTRIES.map((entry) => entry.key)).size).toBe(ENTRIES.length);
  });
});

describe('the log query', () => {
  test.each([
    ['', 'service', 'checkout', false, 'service:checkout'],
    ['refused', 'service', 'checkout', true, 'refused -service:checkout'],
    ['a service:checkout b', 'service', 'checkout', false, 'a b'],
    ['', 'path', '/a b"c', false, 'path:"/a b\\"c"'],
  ])('%j and %s %s', (query, name, value, not, expected) => {
    expect(withCondition(query, name, value, not)).toBe(expected);
  });

  test('quotes what is not one word', () => {
    expect(quoted('node-01.example')).toBe('node-01.example');
    expect(quoted('')).toBe('""');
  });

  test('knows a pattern by its number, exactly', () => {
    expect(patternNumber('8a380947685801c0')).toBe('9959720778227777984');
    expect(patternNumber('12')).toBe('12');
  });

  test('tells where its mistake is', () => {
    expect(queryMistake('1:3: a word is expected')).toEqual({ column: 3, text: 'a word is expected' });
    expect(queryMistake('too long')).toEqual({ column: null, text: 'too long' });
  });

  test('puts every severity into a band', () => {
    expect(bandOf('emergency')).toBe('error');
    expect(bandOf('trace')).toBe('debug');
    expect(bandOf('something new')).toBe('unknown');
  });
});

describe('a long list', () => {
  const edges = Float64Array.from([0, 24, 48, 200, 224]);
  test.each([
    [-5, 0],
    [0, 0],
    [23, 0],
    [24, 1],
    [199, 2],
    [200, 3],
    [9999, 3],
  ])('has at %d px row %d', (px, row) => {
    expect(rowAt(edges, px)).toBe(row);
  });

  test('may be empty', () => {
    expect(rowAt(Float64Array.from([0]), 10)).toBe(0);
  });
});

describe('request paths', () => {
  test('leave out what is not there and escape what is', () => {
    expect(withParams('/api/v1/logs/search', { q: '', limit: 10, after: null })).toBe('/api/v1/logs/search?limit=10');
    expect(withParams('/x', { q: 'a&b=c' })).toBe('/x?q=a%26b%3Dc');
    expect(withParams('/x', {})).toBe('/x');
  });
});
