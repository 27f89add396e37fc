// The size bar: the JavaScript of the heaviest page until an editor is opened, gzipped: what the entry loads, one language (the
// largest counts), and the page's own chunk with what only it needs.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const LIMIT_BYTES = 150 * 1000;
/** The lazily loaded editors, of queries and of policies. */
const EDITOR = /^(PromqlEditor|PolicyPage|ReplayPage)-/;
/** Catalogues of one language. */
const LANGUAGE = /^(?:said\.)?(en|zh)-/;

/** The chunks that one brings with it, itself included. */
function closure(name, imports, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  for (const next of imports.get(name) ?? []) closure(next, imports, found);
  return found;
}

/** Prints the sizes and tells whether they are within the bar. */
export async function checkSize(outDir) {
  const assets = path.join(outDir, 'assets');
  const sizes = new Map();
  const imports = new Map();
  const languages = {};
  for (const name of (await readdir(assets)).filter((file) => file.endsWith('.js'))) {
    const code = await readFile(path.join(assets, name), 'utf8');
    sizes.set(name, gzipSync(code, { level: 9 }).length);
    imports.set(name, [...code.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)].map((match) => match[1]));
    const language = LANGUAGE.exec(name)?.[1];
    if (language) languages[language] = (languages[language] ?? 0) + sizes.get(name);
  }
  if (Object.keys(languages).length < 2) {
    console.error('the languages are not chunks of their own: load them with import()');
    return false;
  }
  const names = [...sizes.keys()];
  const entry = /assets\/([^"]+\.js)"/.exec(await readFile(path.join(outDir, 'index.html'), 'utf8'))?.[1];
  const first = closure(entry, imports);
  const sum = (set) => [...set].reduce((total, name) => total + (sizes.get(name) ?? 0), 0);
  const extra = (name) => [...closure(name, imports)].filter((chunk) => !first.has(chunk));
  const editors = new Set(names.filter((name) => EDITOR.test(name)).flatMap(extra));
  // Chunks that only an editor brings are no pages.
  const pages = names.filter((name) => !first.has(name) && !LANGUAGE.test(name) && !editors.has(name));
  const heaviest = pages.map((name) => ({ name, bytes: sum(new Set(extra(name))) })).sort((a, b) => b.bytes - a.bytes)[0];
  const start = sum(first) + Math.max(...Object.values(languages));
  const before = start + (heaviest?.bytes ?? 0);
  const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
  console.log(
    `JavaScript gzip: ${kB(before)} before an editor (at most ${kB(LIMIT_BYTES)}): ${kB(start)} at the start, ${kB(heaviest?.bytes ?? 0)} for ${heaviest?.name}; editors ${kB(sum(editors))}`,
  );
  if (editors.size === 0 || !pages.length) {
    console.error('the editors and the pages are no chunks of their own: load them with import()');
    return false;
  }
  if (before > LIMIT_BYTES) {
    console.error('too large: load something lazily or leave it out');
    return false;
  }
  return true;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exit((await checkSize(path.resolve(process.argv[2] ?? 'dist'))) ? 0 : 1);
}
