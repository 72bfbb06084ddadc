// `npm start`: sets up what is missing, then becomes the bridge. The bridge runs in this very
// process, so that a signal to `npm start` reaches it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

requireNode();
// A published package holds the finished build and no sources: there is nothing to set up.
if (existsSync(join(ROOT, 'vite.config.ts'))) {
  ensureDependencies();
  const { build } = await import('./build.mjs');
  try {
    await build({ onlyIfStale: true });
  } catch (error) {
    console.error('Easel could not be built:', error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
await import(pathToFileURL(join(ROOT, 'build', 'bridge', 'main.js')).href);
