// Finds the Chromium that the tests drive; on Debian, as root, installs it.
import { ensureProgram, findProgram, isExecutable } from './programs.mjs';

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

/** Path of a Chromium-like browser on this machine, or null. `EASEL_CHROMIUM` wins. */
export function findChromium() {
  const wanted = process.env.EASEL_CHROMIUM;
  if (wanted) return isExecutable(wanted) ? wanted : null;
  return findProgram(NAMES) ?? FIXED_PATHS.find((path) => isExecutable(path)) ?? null;
}

/** Like `findChromium`, but installs Debian's package where that is possible, else says what to do. */
export function ensureChromium() {
  return ensureProgram({
    find: findChromium,
    packages: ['chromium', 'fonts-dejavu-core'],
    announcement: 'Installing Chromium for the browser tests …',
    advice:
      'The browser tests need Chromium, Chrome or Edge. Install one (Debian, Ubuntu: apt-get install chromium; others: from the maker) or set EASEL_CHROMIUM to its path, then run npm test again.',
  });
}
