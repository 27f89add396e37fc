// The server's book of sentences and what the page makes of them.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import ofPolicies from '../src/locales/said.policies.zh.json';
import zh from '../src/locales/said.zh.json';
import { remember, sayIn, type Said } from '../src/sentences';

/** The English words by key, as the server has them. */
const book = new Map(
  readFileSync(path.resolve(__dirname, '../../../store/vocab/src/sentence/book.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, key = '', words = ''] = /^(\S+) [=>] (.*)$/.exec(line) ?? [];
      return [key, words] as const;
    }),
);
const catalogue: Record<string, string> = { ...zh, ...ofPolicies };
const own = Object.keys(catalogue).filter((key) => !/^(unit|method|type)\./.test(key));
const holes = (text: string, form: RegExp) => [...new Set([...text.matchAll(form)].map((match) => match[1]))].sort();

const said = (key: string, args: Said['args'], text: string): Said => ({ key, args, text });

describe('the server’s sentences', () => {
  test('are all there in Chinese, and nothing else', () => {
    expect(book.size).toBeGreaterThan(80);
    expect([...book.keys()].filter((key) => !(key in catalogue))).toEqual([]);
    expect(own.filter((key) => !book.has(key))).toEqual([]);
  });

  test('say the same things', () => {
    const different = own.filter((key) => JSON.stringify(holes(catalogue[key] ?? '', /\{\{(\w+)\}\}/g)) !== JSON.stringify(holes(book.get(key) ?? '', /\{(\w+)[#@*!&]?\}/g)));
    expect(different).toEqual([]);
  });

  test('leave out the same parts', () => {
    const optional = (text: string, form: RegExp) => [...text.matchAll(/\[([^\]]*)\]/g)].map((match) => holes(match[1] ?? '', form).join()).sort().join(';');
    expect(own.filter((key) => optional(catalogue[key] ?? '', /\{\{(\w+)\}\}/g) !== optional(book.get(key) ?? '', /\{(\w+)[#@*!&]?\}/g))).toEqual([]);
  });
});

describe('a sentence', () => {
  const rounded = (extra: Said['args'] = {}) => said('need.rounded', { load: '412', unit: 'CPU cores', target: '100', exact: '4.12', need: '5', ...extra }, 'rounded');

  test('is said in the page’s language once it was in an answer', () => {
    expect(sayIn(catalogue, 'no replica is ready')).toBe('no replica is ready');
    remember({ sentences: [said('health.no_replica', {}, 'no replica is ready')] });
    expect(sayIn(catalogue, 'no replica is ready')).toBe('没有就绪的副本');
    expect(sayIn(null, 'no replica is ready')).toBe('no replica is ready');
  });

  test('says sentences within it, and words that nobody knows as they are', () => {
    const why = [rounded(), said('guard.bounds', { min: '1', max: '5' }, 'bounds'), said('', {}, 'my own words')];
    remember({ sentences: [said('decision.added', { count: '4', from: '1', to: '5', why }, 'A')] });
    expect(sayIn(catalogue, 'A')).toBe('扩容 4 个副本，1 → 5：412 CPU 核 ÷ 每副本 100 = 4.12，进位为 5；策略允许 1 到 5 个副本；my own words');
  });

  test('names the planner’s method', () => {
    remember({ sentences: [said('need.plan', { load: '4', to: '2', method: [said('plan.method', { method: 'day', price: '0.5', minutes: '5' }, 'day at idle price 0.5, held 5 min')] }, 'D')] });
    expect(sayIn(catalogue, 'D')).toBe('现在要求的副本就绪时预计 4，计划 2 个（按日周期，空闲价格 0.5，保持 5 分钟）');
  });

  test('names what a key of a policy wants', () => {
    remember({ sentences: [said('policy.type_text', { found: '"high"', type: 'f64' }, 'T'), said('policy.type_text', { found: '"x"', type: 'struct RawPace' }, 'S')] });
    expect(sayIn(catalogue, 'T')).toBe('这里是文本 "high"，应为数字');
    expect(sayIn(catalogue, 'S')).toContain('struct RawPace');
  });

  test('leaves out what is not known', () => {
    remember({ sentences: [{ ...rounded(), text: 'B' }, { ...rounded({ waiting: '3' }), text: 'C' }] });
    expect(sayIn(catalogue, 'B')).not.toContain('排队');
    expect(sayIn(catalogue, 'C')).toContain('加排队 3');
  });

  test('of a newer server is shown in English', () => {
    remember({ sentences: [said('guard.of_tomorrow', {}, 'held for a new reason')] });
    expect(sayIn(catalogue, 'held for a new reason')).toBe('held for a new reason');
  });

  test('is forgotten when very many have come since', () => {
    remember({ sentences: [said('result.nothing', {}, 'first')] });
    remember({ sentences: Array.from({ length: 5000 }, (_, at) => said('result.nothing', {}, `n${at}`)) });
    expect(sayIn(catalogue, 'first')).toBe('first');
    expect(sayIn(catalogue, 'n4999')).toBe('无需更改');
  });

  test('an answer of another form says nothing', () => {
    for (const answer of [null, 'x', [], { sentences: 'x' }]) expect(() => remember(answer)).not.toThrow();
  });
});
