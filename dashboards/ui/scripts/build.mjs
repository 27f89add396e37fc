// Type-checks and builds at once, then holds the bundle to its size.
// Arguments are handed to `vite build`: `npm run build -- --outDir DIR --emptyOutDir`.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkSize } from './check-size.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const args = process.argv.slice(2);

function packageFile(name, file) {
  return path.join(path.dirname(require.resolve(`${name}/package.json`)), file);
}

function run(script, scriptArgs) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...scriptArgs], { cwd: root, stdio: 'inherit' });
    child.on('close', (code) => resolve(code ?? 1));
  });
}

const outDirAt = args.indexOf('--outDir');
const outDir = path.resolve(root, outDirAt >= 0 ? args[outDirAt + 1] : 'dist');

const codes = await Promise.all([
  run(packageFile('typescript', 'bin/tsc'), ['--noEmit']),
  run(packageFile('vite', 'bin/vite.js'), ['build', ...args]),
]);
if (codes.some((code) => code !== 0)) process.exit(1);
process.exit((await checkSize(outDir)) ? 0 : 1);
