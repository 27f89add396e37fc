// Sentences that the server says: it names each by key and arguments beside the English words, and the page says it in its
// own language.

/** A sentence of the server's book; without a key it is words that the book does not have. */
export interface Said {
  key: string;
  args: Record<string, string | Said[]>;
  text: string;
}

/** How each sentence is said in a language. */
export type SaidCatalogue = Record<string, string>;

/** Sentences remembered at most; the oldest go first. */
const REMEMBERED = 5000;

/** Arguments whose words the catalogue has. */
const NAMED = new Set(['unit', 'method', 'type']);

const known = new Map<string, Said>();

/** Takes note of the sentences in an answer. */
export function remember(answer: unknown) {
  const list = (answer as { sentences?: unknown } | null)?.sentences;
  if (!Array.isArray(list)) return;
  for (const said of list as Said[]) {
    known.delete(said.text);
    known.set(said.text, said);
  }
  for (const oldest of known.keys()) {
    if (known.size <= REMEMBERED) break;
    known.delete(oldest);
  }
}

/** English words of the server in the catalogue's language; as they are when the book does not have them. */
export function sayIn(catalogue: SaidCatalogue | null, text: string): string {
  const said = catalogue === null ? undefined : known.get(text);
  return said && catalogue ? fill(catalogue, said) : text;
}

function fill(catalogue: SaidCatalogue, said: Said): string {
  const template = catalogue[said.key];
  if (template === undefined) return said.text;
  const arg = (name: string) => {
    const value = said.args[name];
    if (Array.isArray(value)) return value.map((inner) => fill(catalogue, inner)).join(value.some((inner) => inner.key === 'guard.unknown_metric' || inner.key === 'load.each') ? '、' : '；');
    // Some words have a name in every language.
    return NAMED.has(name) ? (catalogue[`${name}.${value}`] ?? value ?? '') : (value ?? '');
  };
  const has = (part: string) => [...part.matchAll(/\{\{(\w+)\}\}/g)].every((hole) => (hole[1] ?? '') in said.args);
  return template
    .replace(/\[([^\]]*)\]/g, (_, part: string) => (has(part) ? part : ''))
    .replace(/\{\{(\w+)\}\}/g, (_, name: string) => arg(name));
}
