#!/usr/bin/env node
// `npm start` and `npx`: sets up what is missing, then becomes the bridge. The bridge runs in this very
// process; npm and npx put a shell in between, which dies of a signal without passing it on.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

/** How soon the server notices that npm's shell is gone. */
const PARENT_CHECK_MS = 250;

requireNode();
if (['start', 'npx'].includes(process.env.npm_lifecycle_event)) {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, PARENT_CHECK_MS);
  watch.unref();
}
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
