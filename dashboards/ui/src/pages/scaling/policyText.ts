// A policy as YAML: how it is written for people, read back, and where in it a mistake is.
import type { PolicyObject } from '../../api/types';
import { isCollection, isMap, isScalar, isSeq, parseDocument, stringify, type Document, type Node, type Pair } from 'yaml';

/** Keys in the order in which people read them; others follow by name. */
const ORDER = ['service', 'name', 'cluster', 'orchestrator', 'mode', 'min', 'max', 'kind', 'value', 'query', 'targets'];

/** Keys of a policy, for completion. */
export const POLICY_KEYS = [
  'service', 'name', 'cluster', 'orchestrator', 'mode', 'min', 'max', 'targets', 'interval', 'scrape_interval', 'rate_window', 'tolerance', 'hold',
  'stabilization_up', 'cooldown', 'turn_pause', 'scale_in', 'scale_out', 'startup', 'forecast', 'predict', 'queue_query', 'confirm_query', 'notes', 'team',
  'priority', 'price_per_hour', 'dependencies', 'paused', 'manual_hold', 'placement', 'odd_replica', 'kind', 'behavior', 'steps', 'schedules',
] as const;

const rank = (key: unknown) => {
  const at = ORDER.indexOf(String(key));
  return at < 0 ? ORDER.length : at;
};

function keyOf(pair: Pair): string {
  const key = pair.key as unknown;
  return String(isScalar(key) ? key.value : key);
}

/** A policy as text. */
export function toYaml(policy: unknown): string {
  return stringify(policy, {
    lineWidth: 110,
    sortMapEntries: (a: Pair, b: Pair) => rank(keyOf(a)) - rank(keyOf(b)) || keyOf(a).localeCompare(keyOf(b)),
  });
}

/** Leaves out what is not set: a policy of the file has all keys. */
export function withoutUnset(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUnset);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value)
    .map(([key, inner]) => [key, withoutUnset(inner)] as const)
    .filter(([, inner]) => inner !== null && !(Array.isArray(inner) && inner.length === 0));
  return Object.fromEntries(entries);
}

/** A policy of the server as text. */
export function textOf(policy: PolicyObject): string {
  return toYaml(policy.from_file ? withoutUnset(policy.policy) : policy.policy);
}

/** A mistake and where it stands, as offsets into the text; null when it is about the whole. */
export interface Mistake {
  message: string;
  path: string;
  range: { from: number; to: number } | null;
}

export interface ReadPolicy {
  /** What the text means; null when it is not a mapping. */
  policy: Record<string, unknown> | null;
  mistakes: Mistake[];
  document: Document;
}

/** Reads a text; what is no YAML, or no mapping, is a mistake at its place. */
export function readPolicy(text: string, notMapping: string): ReadPolicy {
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: true });
  const mistakes: Mistake[] = document.errors.map((error) => ({
    message: error.message,
    path: '',
    range: { from: error.pos[0], to: Math.max(error.pos[1], error.pos[0] + 1) },
  }));
  if (mistakes.length > 0) return { policy: null, mistakes, document };
  if (!isMap(document.contents)) {
    return { policy: null, mistakes: [{ message: notMapping, path: '', range: rangeOf(document.contents) }], document };
  }
  try {
    return { policy: document.toJS({ maxAliasCount: 100 }) as Record<string, unknown>, mistakes, document };
  } catch (cause) {
    return { policy: null, mistakes: [{ message: String((cause as Error).message), path: '', range: null }], document };
  }
}

/** `targets[0].value` → `['targets', 0, 'value']`. */
export function pathParts(path: string): (string | number)[] {
  return [...path.matchAll(/([^.[\]]+)|\[(\d+)\]/g)].map((match) => (match[2] === undefined ? (match[1] ?? '') : Number(match[2])));
}

/** Where a key path stands: its value, or its key when there is no value; the nearest part of it that is there. */
export function locate(document: Document, path: string): { from: number; to: number } | null {
  let node = document.contents as Node | null;
  let found: { from: number; to: number } | null = null;
  for (const part of pathParts(path)) {
    if (isSeq(node) && typeof part === 'number') {
      node = (node.items[part] as Node | undefined) ?? null;
      if (!node) break;
      found = headOf(node) ?? found;
    } else if (isMap(node)) {
      const pair = node.items.find((item) => keyOf(item as Pair) === String(part)) as Pair<Node, Node | null> | undefined;
      if (!pair) break;
      node = pair.value;
      found = isCollection(node) || node === null ? rangeOf(pair.key) : (rangeOf(node) ?? rangeOf(pair.key));
    } else {
      break;
    }
  }
  return found;
}

function rangeOf(node: Node | null): { from: number; to: number } | null {
  const range = node?.range;
  return range ? { from: range[0], to: Math.max(range[1], range[0] + 1) } : null;
}

/** A node's first line would mark too much of a mapping: its first key stands for it. */
function headOf(node: Node): { from: number; to: number } | null {
  if (isMap(node) && node.items[0]) return rangeOf((node.items[0] as Pair<Node>).key);
  return rangeOf(node);
}

/** Line and column of an offset, from 1. */
export function lineAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return { line, column: offset - before.lastIndexOf('\n') };
}

/** What a new policy begins with. */
export function template(service: string): string {
  return `service: ${service || 'my-service'}
mode: observe        # observe | advise | act
min: 1
max: 10
targets:
  - kind: rps        # rps | cpu | latency | queue | promql | …
    value: 100       # per replica
`;
}
