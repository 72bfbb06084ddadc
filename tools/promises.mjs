// `npm run promises`: the long forms of the tests behind docs/promises.md, each in bounded time.
// `-- --minutes N` sets the length of the soak (30), `-- --only soak` runs one part. The figures are
// printed as a table at the end and written to bench-results/promises.jsonl.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from './build.mjs';
import { ensureChromium } from './lib/chromium.mjs';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

/** Parts in order: what they run, and after how many minutes each is ended whatever it does. */
const PARTS = {
  exposure: { project: 'node', tests: ['test/promises/exposure.test.ts'], minutes: 10 },
  chaos: { project: 'node', tests: ['test/promises/relay.test.ts'], minutes: 25 },
  kills: { project: 'node', tests: ['test/promises/restart.test.ts'], minutes: 40 },
  fuzz: {
    project: 'node',
    tests: ['test/promises/fuzz.test.ts', 'test/promises/fuzz-files.test.ts'],
    minutes: 20,
  },
  soak: { project: 'node', tests: ['test/promises/load.test.ts'], minutes: 15 },
  tabs: { project: 'e2e', tests: ['test/e2e/background-tab.test.ts'], minutes: 20 },
  store: { project: 'e2e', tests: ['test/e2e/store-kills.test.ts'], minutes: 20 },
};

function usage() {
  console.error(
    `Usage: npm run promises -- [--minutes N] [--only ${Object.keys(PARTS).join('|')}]`,
  );
  process.exit(2);
}

let minutes = 30;
let only = null;
const args = process.argv.slice(2);
for (let place = 0; place < args.length; place += 2) {
  const value = args[place + 1];
  if (args[place] === '--minutes' && Number(value) > 0) minutes = Number(value);
  else if (args[place] === '--only' && Object.hasOwn(PARTS, value)) only = value;
  else usage();
}

requireNode();
ensureDependencies();
process.env.EASEL_CHROMIUM = ensureChromium();
await build({ onlyIfStale: true });
const folder = join(ROOT, 'bench-results');
mkdirSync(folder, { recursive: true });
const file = join(folder, 'promises.jsonl');
rmSync(file, { force: true });

const failed = [];
for (const [name, part] of Object.entries(PARTS)) {
  if (only !== null && only !== name) continue;
  console.log(`\n${name}`);
  const limitMinutes = part.minutes + (name === 'soak' ? minutes : 0);
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  // One file at a time: what is measured must not wait for another test.
  const run = ['run', '--project', part.project, '--no-file-parallelism', ...part.tests];
  const { status } = spawnSync(process.execPath, [vitest, ...run], {
    cwd: ROOT,
    stdio: 'inherit',
    timeout: limitMinutes * 60_000,
    env: {
      ...process.env,
      EASEL_PROMISES: 'long',
      EASEL_PROMISES_FILE: file,
      EASEL_PROMISES_SOAK_MINUTES: String(minutes),
      EASEL_STORE_KILLS: '20',
    },
  });
  if (status !== 0) failed.push(name);
}

console.log('\nMeasured');
for (const line of readFileSync(file, { encoding: 'utf8', flag: 'a+' }).trim().split('\n')) {
  if (line === '') continue;
  const { id, ...figures } = JSON.parse(line);
  const text = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  console.log(`${id.padEnd(4)} ${text.join(', ')}`);
}
if (failed.length > 0) {
  console.error(`\nNot kept: ${failed.join(', ')}.`);
  process.exit(1);
}
