// `npm run promises`: the long forms of the tests behind docs/promises.md, each in bounded time.
// `-- --minutes N` sets the length of the soak (30), `-- --only NAME` runs one part. The first part, `quiet`, has
// the times that mean something on a quiet machine alone; while the others run, the machine may be used.
// At the end every figure stands beside what is promised; the exit code tells whether all are kept.
// bench-results/promises.jsonl has them.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from './build.mjs';
import { ensureChromium } from './lib/chromium.mjs';
import { judge } from './lib/promised.mjs';
import { ensureRedis } from './lib/redis.mjs';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

const node = (...names) => names.map((name) => `test/promises/${name}.test.ts`);
const e2e = (...names) => names.map((name) => `test/e2e/${name}.test.ts`);
const slow = (...names) => names.map((name) => `test/e2e/${name}.long.ts`);

/**
 * Parts in order: what they run (`title` picks tests), and after how many minutes each is ended. One that mostly
 * waits, for processes or for somebody's patience, goes on while the next ones run.
 */
const PARTS = {
  quiet: {
    tests: node('picture-bombs', 'load', 'relay', 'fuzz'),
    ...{ title: '(S10|S14|R13|R15|R16) ', minutes: 15 },
  },
  exposure: { tests: node('exposure'), minutes: 5 },
  chaos: { tests: node('relay'), title: '^(?!.*R15 )', minutes: 25 },
  files: { tests: node('fuzz-files'), minutes: 10 },
  scale: { tests: e2e('scale'), minutes: 5 },
  kills: { tests: node('restart'), minutes: 45, isMeanwhile: true },
  tabs: { tests: e2e('background-tab', 'discarded-tab', 'local-network'), minutes: 30 },
  devices: {
    tests: [...slow('stuck-engine'), ...e2e('lost-device')],
    ...{ minutes: 30, isMeanwhile: true },
  },
  store: { tests: e2e('store-kills', 'large-models'), minutes: 30 },
  // Bridge and tab side by side, for as long as was asked.
  soak: { tests: node('load'), title: 'R17 ', minutes: 10, beside: e2e('long-run') },
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
process.env.EASEL_REDIS = ensureRedis();
await build({ onlyIfStale: true });
const folder = join(ROOT, 'bench-results');
mkdirSync(folder, { recursive: true });
const file = join(folder, 'promises.jsonl');
rmSync(file, { force: true });

/** Runs test files, one at a time: what is measured must not wait for another test. True where all pass. */
function run(tests, title, limitMinutes) {
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const project = tests[0].startsWith('test/e2e') ? 'e2e' : 'node';
  const how = ['run', '--project', project, '--no-file-parallelism', ...tests];
  const child = spawn(process.execPath, [vitest, ...how, ...(title ? ['-t', title] : [])], {
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
  return new Promise((resolve) => child.once('exit', (code) => resolve(code === 0)));
}

const failed = [];
const meanwhile = [];
const minutesSince = (start) => ((performance.now() - start) / 60_000).toFixed(1);
const begin = performance.now();

async function runPart(name, { tests, title, beside, ...part }) {
  const start = performance.now();
  const limitMinutes = part.minutes + (name === 'soak' ? minutes : 0);
  const runs = [run(tests, title, limitMinutes)];
  if (beside) runs.push(run(beside, undefined, limitMinutes));
  if ((await Promise.all(runs)).includes(false)) failed.push(name);
  console.log(`${name}: ${minutesSince(start)} of at most ${limitMinutes} minutes`);
}

for (const [name, part] of Object.entries(PARTS)) {
  if (only !== null && only !== name) continue;
  console.log(`\n${name}`);
  const ended = runPart(name, part);
  if (part.isMeanwhile) meanwhile.push(ended);
  else await ended;
}
await Promise.all(meanwhile);

const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
const figures = lines.flatMap((line) => judge(JSON.parse(line)));
console.log(`\nMeasured in ${minutesSince(begin)} minutes`);
for (const { id, name, value, promised, isKept } of figures) {
  const mark = isKept === null ? '' : isKept ? 'kept' : 'NOT KEPT';
  const text = `${id.padEnd(4)} ${name.padEnd(18)} ${String(value).padEnd(14)} ${promised.padEnd(16)} ${mark}`;
  console.log(text.trimEnd());
}
const missed = figures.filter(({ isKept }) => isKept === false);
if (failed.length > 0) console.error(`\nFailed: ${failed.join(', ')}.`);
if (missed.length > 0) {
  console.error(`\nNot kept: ${missed.map(({ id, name }) => `${id} ${name}`).join(', ')}.`);
}
process.exit(failed.length + missed.length > 0 ? 1 : 0);
