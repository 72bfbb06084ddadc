// `npm run clients`: real client programs against the real bridge, tab and embedded model, each line of what they check
// as it comes. `npm test` runs them too.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureChromium } from './lib/chromium.mjs';
import { freePort } from './lib/free-port.mjs';
import { ensureClients } from './lib/python.mjs';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

const FOLDER = join(ROOT, 'tools/clients');
const SCRIPTS = ['with_webuiapi.py', 'with_openai.py'];

/** Waits until a checkpoint is in the tab's memory. */
async function waitUntilReady(port) {
  for (const end = Date.now() + 180_000; Date.now() < end; ) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/health`);
      const health = await response.json();
      if (health.status === 'ready' && health.engines[0]?.checkpoint) return;
    } catch {}
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  throw new Error('Easel did not become ready');
}

requireNode();
ensureDependencies();
process.env.EASEL_CHROMIUM = ensureChromium();
const { build } = await import('./build.mjs');
await build({ onlyIfStale: true });
const python = ensureClients();

const port = await freePort();
const dataDir = mkdtempSync(join(tmpdir(), 'easel-clients-'));
const args = ['--port', String(port), '--data-dir', dataDir, '--browser', 'headless'];
const bridge = spawn(
  process.execPath,
  [join(ROOT, 'build/bridge/main.js'), ...args, '--device', 'wasm', '--log-level', 'error'],
  { cwd: ROOT, stdio: 'inherit' },
);
const exited = new Promise((resolve) => bridge.once('exit', resolve));
let failures = 0;
try {
  await waitUntilReady(port);
  for (const script of SCRIPTS) {
    console.log(`\n${script}`);
    const child = spawn(python, [join(FOLDER, script), String(port)], { stdio: 'inherit' });
    const status = await new Promise((resolve) => child.once('exit', resolve));
    if (status !== 0) failures += 1;
  }
} finally {
  bridge.kill('SIGTERM');
  await exited;
  rmSync(dataDir, { recursive: true, force: true });
}
console.log(failures === 0 ? '\nAll clients are served.' : `\n${failures} of the clients failed.`);
process.exit(failures === 0 ? 0 : 1);
