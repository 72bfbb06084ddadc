import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What the search looks at; tests hand in their own. */
export interface BrowserSearch {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly platform?: NodeJS.Platform;
  readonly isExecutable?: (path: string) => boolean;
}

/** Newest WebGPU first; Firefox and Safari have no headless mode that we can drive. */
const NAMES = [
  'google-chrome-stable',
  'google-chrome',
  'chromium',
  'chromium-browser',
  'microsoft-edge-stable',
  'microsoft-edge',
];

const MAC_APPS = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
];

function windowsPaths(env: Readonly<Record<string, string | undefined>>): string[] {
  const roots = [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA];
  const apps = [
    'Google\\Chrome\\Application\\chrome.exe',
    'Microsoft\\Edge\\Application\\msedge.exe',
  ];
  return roots.flatMap((root) => (root ? apps.map((app) => `${root}\\${app}`) : []));
}

function canExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of a Chrome, Chromium or Edge on this machine, or null. `EASEL_CHROMIUM` wins, right or wrong. */
export function findBrowser({
  env = process.env,
  platform = process.platform,
  isExecutable = canExecute,
}: BrowserSearch = {}): string | null {
  const wanted = env.EASEL_CHROMIUM;
  if (wanted) return isExecutable(wanted) ? wanted : null;
  if (platform === 'win32') return windowsPaths(env).find(isExecutable) ?? null;
  if (platform === 'darwin') return MAC_APPS.find(isExecutable) ?? null;
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const paths = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  return paths.find(isExecutable) ?? null;
}

/** True where a person sits in front of a screen that this process can open windows on. */
export function hasDesktop({
  env = process.env,
  platform = process.platform,
}: Pick<BrowserSearch, 'env' | 'platform'> = {}): boolean {
  // A terminal on another machine: the window would open where nobody sees it, or not at all.
  if (env.SSH_CONNECTION || env.SSH_TTY) return false;
  if (platform === 'win32' || platform === 'darwin') return true;
  return Boolean(env.DISPLAY || env.WAYLAND_DISPLAY);
}

/** How to get a browser where none was found, as a sentence. */
export function browserHint(platform: NodeJS.Platform = process.platform): string {
  const install =
    platform === 'linux'
      ? 'Install Chromium or Chrome (Debian, Ubuntu: apt-get install chromium)'
      : 'Install Chrome or Edge';
  return `${install}, or set EASEL_CHROMIUM to the browser's path.`;
}
