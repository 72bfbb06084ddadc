// `npm run lighthouse`: Lighthouse's scores of the page as the bridge serves it, on its mid-range phone and on a desktop.
// Lighthouse is installed beside the dependencies when it is first asked for: the product has no use for it.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureChromium } from './lib/chromium.mjs';
import { freePort } from './lib/free-port.mjs';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

/** The last one that runs on Node 20. */
const VERSION = '12.8.2';
const FOLDER = join(ROOT, 'node_modules/.cache/easel-lighthouse');
const CLI = join(FOLDER, 'node_modules/lighthouse/cli/index.js');
const CATEGORIES = ['performance', 'accessibility', 'best-practices'];
const PROMISED = 95;

requireNode();
ensureDependencies();
const chromium = ensureChromium();
const { build } = await import('./build.mjs');
await build({ onlyIfStale: true });

if (!existsSync(CLI)) {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, 'package.json'), '{}');
  const args = ['install', '--no-audit', '--no-fund', `lighthouse@${VERSION}`];
  const { status } = spawnSync('npm', args, { cwd: FOLDER, stdio: 'inherit' });
  if (status !== 0) throw new Error('Lighthouse could not be installed: npm says above why.');
}

async function untilReady(url) {
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    if (await fetch(`${url}/health`).catch(() => null)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('The bridge did not start.');
}

const data = mkdtempSync(join(tmpdir(), 'easel-lighthouse-'));
const port = await freePort();
const url = `http://localhost:${port}`;
const bridge = spawn(
  process.execPath,
  [
    ...[join(ROOT, 'build/bridge/main.js'), '--port', String(port), '--data-dir', data],
    ...['--browser', 'none'],
  ],
  { stdio: 'ignore' },
);

/** Scores of 100 by category, and what costs points. */
function measure(name, flags) {
  const report = join(data, `${name}.json`);
  const result = spawnSync(
    process.execPath,
    [
      ...[CLI, `${url}/?device=wasm`, '--quiet', '--output=json', `--output-path=${report}`],
      ...[`--only-categories=${CATEGORIES.join(',')}`, ...flags],
      '--chrome-flags=--headless=new --no-sandbox --disable-quic',
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, CHROME_PATH: chromium } },
  );
  if (result.status !== 0) throw new Error(`Lighthouse ended with ${result.status}.`);
  const { categories, audits } = JSON.parse(readFileSync(report, 'utf8'));
  const scores = CATEGORIES.map((id) => Math.round(100 * categories[id].score));
  const lost = CATEGORIES.flatMap((id) => categories[id].auditRefs)
    .filter(({ id, weight }) => weight > 0 && (audits[id].score ?? 1) < 0.9)
    .map(({ id }) => `${id} ${audits[id].displayValue ?? audits[id].score}`);
  console.log(`${name}: ${CATEGORIES.map((id, i) => `${id} ${scores[i]}`).join(', ')}`);
  for (const line of lost) console.log(`  ${line}`);
  return scores;
}

try {
  await untilReady(url);
  const scores = [...measure('phone', []), ...measure('desktop', ['--preset=desktop'])];
  if (scores.some((score) => score < PROMISED)) {
    console.log(`Missed: ${PROMISED} is promised of each.`);
    process.exitCode = 1;
  }
} finally {
  bridge.kill('SIGTERM');
  rmSync(data, { recursive: true, force: true });
}
