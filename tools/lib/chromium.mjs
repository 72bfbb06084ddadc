// Finds the Chromium that the tests drive; on Debian, as root, installs it.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = [
  'chromium',
  'chromium-browser',
  'google-chrome-stable',
  'google-chrome',
  'microsoft-edge-stable',
  'microsoft-edge',
];
const FIXED_PATHS = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
];

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of a Chromium-like browser on this machine, or null. `EASEL_CHROMIUM` wins. */
export function findChromium() {
  const wanted = process.env.EASEL_CHROMIUM;
  if (wanted) return isExecutable(wanted) ? wanted : null;
  const folders = (process.env.PATH ?? '').split(delimiter);
  for (const name of NAMES) {
    for (const folder of folders) {
      const path = join(folder, name);
      if (isExecutable(path)) return path;
    }
  }
  return FIXED_PATHS.find((path) => isExecutable(path)) ?? null;
}

/** Like `findChromium`, but installs Debian's package where that is possible, else says what to do. */
export function ensureChromium() {
  const found = findChromium();
  if (found) return found;
  const isDebianRoot = existsSync('/etc/debian_version') && process.getuid?.() === 0;
  if (isDebianRoot) {
    console.log('Installing Chromium for the browser tests …');
    const run = (args) =>
      spawnSync('apt-get', args, {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      });
    run(['-q', 'update']);
    run(['-q', '-y', 'install', '--no-install-recommends', 'chromium', 'fonts-dejavu-core']);
  }
  const installed = findChromium();
  if (installed) return installed;
  console.error(
    'The browser tests need Chromium, Chrome or Edge. Install one (Debian, Ubuntu: apt-get install chromium; others: from the maker) or set EASEL_CHROMIUM to its path, then run npm test again.',
  );
  process.exit(1);
}
