// Both catalogues are complete, every key that is used exists, and none is there for nothing.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { message } from '../src/i18n';
import en from '../src/locales/en.json';
import zh from '../src/locales/zh.json';

const catalogues: Record<string, Record<string, string>> = { en, zh };

/** Keys that the server names: titles of charts, labels of thresholds, facets. */
const FROM_SERVER = ['chart.host.', 'chart.service.', 'threshold.', 'facet.', 'scaling.guard.', 'scaling.metric.', 'memory.', 'chart.legend.', 'audit.', 'capacity.by.'];

const bare = (key: string) => key.replace(/_(zero|one|two|few|many|other)$/, '');
const keysOf = (catalogue: Record<string, string>) => new Set(Object.keys(catalogue).map(bare));

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const file = path.join(folder, name);
    if (statSync(file).isDirectory()) return sources(file);
    return /\.tsx?$/.test(name) ? [readFileSync(file, 'utf8')] : [];
  });
}

const code = sources(path.resolve(__dirname, '../src')).join('\n');
/** Everything in quotes that looks like a key, and the beginnings of those that are put together. */
const quoted = new Set([...code.matchAll(/'([a-z_0-9]+(?:\.[a-z_0-9]+)+)'/g)].map((match) => match[1] ?? ''));
const prefixes = [...code.matchAll(/`([a-z_0-9]+(?:\.[a-z_0-9]+)*\.)\$\{[^}]*\}(\.[a-z_]+)?`/g)].map((match) => ({ start: match[1] ?? '', end: match[2] ?? '' }));

describe('catalogues', () => {
  test('have the same keys', () => {
    expect([...keysOf(en)].filter((key) => !keysOf(zh).has(key))).toEqual([]);
    expect([...keysOf(zh)].filter((key) => !keysOf(en).has(key))).toEqual([]);
  });

  test.each(Object.keys(catalogues))('%s has every plural form that its language needs', (language) => {
    const catalogue = catalogues[language] ?? {};
    const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    const plural = new Set(Object.keys(catalogue).filter((key) => bare(key) !== key).map(bare));
    const missing = [...plural].flatMap((key) => forms.filter((form) => !(`${key}_${form}` in catalogue)).map((form) => `${key}_${form}`));
    expect(missing).toEqual([]);
  });

  test.each(Object.keys(catalogues))('%s has no empty text', (language) => {
    expect(Object.entries(catalogues[language] ?? {}).filter(([, text]) => text.trim() === '')).toEqual([]);
  });

  test('use the same arguments', () => {
    const args = (text: string) => [...new Set([...text.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1]))].filter((name) => name !== 'count').sort();
    const different = [...keysOf(en)].filter((key) => {
      const inEnglish = args(catalogues.en?.[`${key}_other`] ?? catalogues.en?.[key] ?? '');
      const inChinese = args(catalogues.zh?.[`${key}_other`] ?? catalogues.zh?.[key] ?? '');
      return JSON.stringify(inEnglish) !== JSON.stringify(inChinese);
    });
    expect(different).toEqual([]);
  });

  test('are translated', () => {
    const latin = new Set(['column.p95', 'column.cpu', 'chart.service.cpu', 'severity.unknown', 'palette.action.language', 'scaling.metric.rps']);
    const same = Object.entries(zh).filter(([key, text]) => !latin.has(bare(key)) && !/[一-鿿]/.test(text.replace(/\{\{\w+\}\}/g, '')) && /[a-z]{3}/i.test(text.replace(/\{\{\w+\}\}/g, '')));
    expect(same).toEqual([]);
  });
});

describe('keys in the code', () => {
  test('exist', () => {
    const used = [...code.matchAll(/\bt\(\s*'([^']+)'/g)].map((match) => match[1] ?? '');
    expect(used.length).toBeGreaterThan(200);
    expect(used.filter((key) => !keysOf(en).has(key))).toEqual([]);
  });

  test('that are put together have a beginning that exists', () => {
    const inT = [...code.matchAll(/\bt\(`([a-z_0-9.]+)\$\{/g)].map((match) => match[1] ?? '');
    expect(inT.filter((start) => ![...keysOf(en)].some((key) => key.startsWith(start)))).toEqual([]);
  });

  test('are all that the catalogues have', () => {
    const unused = [...keysOf(en)].filter(
      (key) =>
        !quoted.has(key) &&
        !prefixes.some(({ start, end }) => key.startsWith(start) && key.endsWith(end) && !key.slice(start.length, end ? -end.length : undefined).includes('.')) &&
        !FROM_SERVER.some((start) => key.startsWith(start)),
    );
    expect(unused).toEqual([]);
  });
});

describe('messages', () => {
  const catalogue = { 'a.b_one': 'one {{thing}}', 'a.b_other': '{{count}} {{thing}}s', plain: 'of {{n}}' };

  test('take the plural form of their language', () => {
    expect(message(catalogue, 'en-GB', 'a.b', { count: 1, thing: 'host' })).toBe('one host');
    expect(message(catalogue, 'en-GB', 'a.b', { count: 1234, thing: 'host' })).toBe('1,234 hosts');
    // Chinese has one form only.
    expect(message(catalogue, 'zh-CN', 'a.b', { count: 1, thing: 'host' })).toBe('1 hosts');
  });

  test('show a missing argument as nothing and a missing key as itself', () => {
    expect(message(catalogue, 'en-GB', 'plain')).toBe('of ');
    expect(message(catalogue, 'en-GB', 'no.such')).toBe('no.such');
  });
});
