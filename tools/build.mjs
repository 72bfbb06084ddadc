// Builds the static page into dist/ and the bridge into build/bridge/main.js.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

const STAMP = join(ROOT, 'build', 'stamp');
const SOURCES = [
  'bridge',
  'protocol',
  'public',
  'web',
  'tools/build.mjs',
  'tools/lib',
  'package-lock.json',
  'vite.config.ts',
];

function* filesBelow(path) {
  if (!statSync(path).isDirectory()) return yield path;
  for (const name of readdirSync(path).sort()) yield* filesBelow(join(path, name));
}

/** A hash over names, sizes and times of every source, so that an unchanged tree is not built twice. */
function sourceStamp() {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    for (const file of filesBelow(join(ROOT, source))) {
      const { size, mtimeMs } = statSync(file);
      hash.update(`${file}\0${size}\0${mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}

/** Builds page and bridge; with `onlyIfStale` an up-to-date build is left alone. */
export async function build({ onlyIfStale = false, logLevel = 'warn' } = {}) {
  const stamp = sourceStamp();
  const isBuilt =
    existsSync(join(ROOT, 'dist', 'index.html')) &&
    existsSync(join(ROOT, 'build', 'bridge', 'main.js'));
  if (onlyIfStale && isBuilt && existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp) return;
  const vite = await import('vite');
  await vite.build({ configFile: join(ROOT, 'vite.config.ts'), logLevel });
  await vite.build({
    root: ROOT,
    configFile: false,
    publicDir: false,
    logLevel,
    // Everything the bridge needs is inside the one file: it runs from a package without node_modules.
    // The shared queue's client is loaded with --redis alone, and installed beside it.
    ssr: { noExternal: true, external: ['bullmq', 'ioredis'], target: 'node' },
    build: {
      ssr: 'bridge/main.ts',
      outDir: 'build/bridge',
      emptyOutDir: true,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: 'main.js' } },
    },
  });
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  writeFileSync(STAMP, stamp);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  requireNode();
  ensureDependencies();
  await build({ logLevel: 'info' });
}
