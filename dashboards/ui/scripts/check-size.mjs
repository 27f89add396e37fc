// The size bar: all JavaScript that a person loads without opening the query editor, gzipped. A page loads one language, so
// the largest one counts.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const LIMIT_BYTES = 150 * 1000;
/** The lazily loaded editor; everything else counts. */
const EDITOR = /^PromqlEditor-/;
/** Catalogues of one language. */
const LANGUAGE = /^(?:said\.)?(en|zh)-/;

/** Prints the sizes and tells whether they are within the bar. */
export async function checkSize(outDir) {
  const assets = path.join(outDir, 'assets');
  let before = 0;
  let editor = 0;
  const languages = {};
  for (const name of (await readdir(assets)).filter((file) => file.endsWith('.js'))) {
    const size = gzipSync(await readFile(path.join(assets, name)), { level: 9 }).length;
    const language = LANGUAGE.exec(name)?.[1];
    if (EDITOR.test(name)) editor += size;
    else if (language) languages[language] = (languages[language] ?? 0) + size;
    else before += size;
  }
  if (Object.keys(languages).length < 2) {
    console.error('the languages are not chunks of their own: load them with import()');
    return false;
  }
  before += Math.max(...Object.values(languages));
  const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
  console.log(`JavaScript gzip: ${kB(before)} before the editor (at most ${kB(LIMIT_BYTES)}), editor ${kB(editor)}`);
  if (editor === 0) {
    console.error('the query editor is not a chunk of its own: load it with import()');
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
