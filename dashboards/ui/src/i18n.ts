// The language of the page. One catalogue per language, keys by meaning; plurals and numbers through Intl.
import { useEffect, useMemo, useSyncExternalStore } from 'react';
import { getPreference, setPreference } from './preferences';
import { sayIn, type SaidCatalogue } from './sentences';

export type Language = 'en' | 'zh';
export const LANGUAGES: readonly Language[] = ['en', 'zh'];

/** The BCP 47 tag for Intl. English dates are written day first, hours from 0 to 23. */
export const LOCALE: Record<Language, string> = { en: 'en-GB', zh: 'zh-CN' };

type Catalogue = Record<string, string>;

const load: Record<Language, () => Promise<{ default: Catalogue }>> = {
  en: () => import('./locales/en.json'),
  zh: () => import('./locales/zh.json'),
};

/** What the server says is English; other languages have it in a catalogue of its own. */
const loadSaid: Partial<Record<Language, () => Promise<{ default: SaidCatalogue }>>> = {
  zh: () => import('./locales/said.zh.json'),
};

/** What it says of policies and replays: much, and only on their pages. */
const loadSaidOfPolicies: Partial<Record<Language, () => Promise<{ default: SaidCatalogue }>>> = {
  zh: () => import('./locales/said.policies.zh.json'),
};

const catalogues = new Map<Language, Catalogue>();
const saidCatalogues = new Map<Language, SaidCatalogue>();
const listeners = new Set<() => void>();
let current: Language = 'en';
/** Grows with every catalogue that comes later. */
let learned = 0;

/** The chosen language, else the server's, else the browser's. */
export function pickLanguage(server: string | null): Language {
  const wanted = [getPreference<string | null>('language', null), server, ...navigator.languages];
  for (const tag of wanted) {
    const found = LANGUAGES.find((language) => tag?.toLowerCase().startsWith(language));
    if (found) return found;
  }
  return 'en';
}

export async function applyLanguage(language: Language) {
  if (!catalogues.has(language)) {
    const [words, said] = await Promise.all([load[language](), loadSaid[language]?.()]);
    catalogues.set(language, words.default);
    if (said) saidCatalogues.set(language, said.default);
  }
  current = language;
  document.documentElement.lang = language === 'zh' ? 'zh-Hans' : 'en';
  listeners.forEach((listener) => listener());
}

/** Loads what the server says of policies, for the page's language. */
export function usePolicyWords() {
  const { language } = useWords();
  useEffect(() => {
    void loadSaidOfPolicies[language]?.().then((said) => {
      const known = saidCatalogues.get(language) ?? {};
      if (Object.keys(said.default).every((key) => key in known)) return;
      saidCatalogues.set(language, { ...known, ...said.default });
      learned += 1;
      listeners.forEach((listener) => listener());
    });
  }, [language]);
}

/** What a person chose; it is kept. */
export async function setLanguage(language: Language) {
  setPreference('language', language);
  await applyLanguage(language);
}

export type Translate = (key: string, args?: Record<string, unknown>) => string;

/**
 * A message of a catalogue with its arguments filled in. `count` picks the plural form: `key_one`, `key_other` as the
 * language has them. A key that is missing is shown as it is, so that one sees what is missing.
 */
export function message(catalogue: Catalogue, locale: string, key: string, args: Record<string, unknown> = {}): string {
  let text = catalogue[key];
  if (typeof args.count === 'number') {
    const form = new Intl.PluralRules(locale).select(args.count);
    text = catalogue[`${key}_${form}`] ?? catalogue[`${key}_other`] ?? text;
  }
  if (text === undefined) return key;
  return text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = args[name];
    return typeof value === 'number' ? new Intl.NumberFormat(locale).format(value) : String(value ?? '');
  });
}

interface Words {
  t: Translate;
  /** Whether a key that came from the server is known. */
  has: (key: string) => boolean;
  /** A sentence of the server in the page's language. */
  say: (text: string) => string;
  language: Language;
  locale: string;
}

export function useWords(): Words {
  const state = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => `${current} ${learned}`,
  );
  return useMemo(() => {
    const language = current;
    const catalogue = catalogues.get(language) ?? {};
    const locale = LOCALE[language];
    const said = saidCatalogues.get(language) ?? null;
    return { t: (key, args) => message(catalogue, locale, key, args), has: (key) => key in catalogue, say: (text) => sayIn(said, text), language, locale };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the state stands for the catalogues
  }, [state]);
}
