import { spawn } from 'node:child_process';
import { type Browser, chromium } from 'playwright';
import { findChromium } from '../../../tools/lib/chromium.mjs';

/** A Chromium with a profile on the disk that can be killed as a whole, as by a power cut or the user. */
export interface KillableBrowser {
  readonly browser: Browser;
  /** SIGKILL to all of its processes at once; resolves when they are gone. */
  kill(): Promise<void>;
}

const FLAGS = [
  ...['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...[
    '--disable-component-update',
    '--disable-sync',
    '--headless=new',
    '--remote-debugging-port=0',
  ],
];
const STARTED = /DevTools listening on (ws:\/\/\S+)/;
const START_TIMEOUT_MS = 30_000;

export async function launchKillable(profile: string): Promise<KillableBrowser> {
  const executable = findChromium();
  if (!executable) throw new Error('no Chromium found; npm test installs or names one');
  const child = spawn(
    executable,
    [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'],
    // A group of its own: one signal reaches renderers and helpers too.
    { detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const kill = async () => {
    if (child.pid !== undefined && child.exitCode === null) {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    await exited;
  };
  try {
    const address = await new Promise<string>((resolve, reject) => {
      let said = '';
      const timer = setTimeout(
        () => reject(new Error(`Chromium did not start:\n${said}`)),
        START_TIMEOUT_MS,
      );
      child.stderr.on('data', (chunk) => {
        said += chunk;
        const found = STARTED.exec(said)?.[1];
        if (found === undefined) return;
        clearTimeout(timer);
        resolve(found);
      });
      child.once('exit', (code) => reject(new Error(`Chromium ended with ${code}:\n${said}`)));
    });
    return { browser: await chromium.connectOverCDP(address), kill };
  } catch (error) {
    await kill();
    throw error;
  }
}
