// What `npm start` and `npm test` need before anything else: Node's version and the dependencies.
// Plain JavaScript with Node's own modules only, because nothing is installed yet.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's (or the package's) root folder. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const MIN_NODE = [20, 19];

/** Ends the process with a sentence where Node is too old. */
export function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  console.error(
    `Easel needs Node ${MIN_NODE.join('.')} or newer; this is ${process.versions.node}. Install the current LTS from nodejs.org and start again.`,
  );
  process.exit(1);
}

/** Installs the dependencies when they are missing or the lockfile has changed since. */
export function ensureDependencies() {
  const lockfile = join(ROOT, 'package-lock.json');
  const stamp = join(ROOT, 'node_modules', '.easel-lockfile-hash');
  const hash = createHash('sha256').update(readFileSync(lockfile)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  console.log('Installing dependencies (only needed the first time) …');
  const result = spawnSync('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    // Playwright drives the browser found on the machine and never needs its own.
    env: { ...process.env, PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' },
    shell: process.platform === 'win32',
  });
  if (result.status !== 0) {
    console.error(
      'The dependencies could not be installed. Check the network connection (npm says above what failed) and run the same command again.',
    );
    process.exit(1);
  }
  writeFileSync(stamp, hash);
}
