import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bridge } from '../bridge.ts';
import type { Logger } from '../log.ts';
import type { BridgeOptions } from '../options/options.ts';
import { StartError } from '../server.ts';
import { browserHint, findBrowser, hasDesktop } from './find-browser.ts';
import { HeadlessBrowser } from './headless-browser.ts';
import { openPage } from './open-page.ts';

/** How the engine's page came to be open. */
export interface EngineBrowser {
  /** What was done, as a sentence for the terminal. */
  readonly message: string;
  stop(): Promise<void>;
}

const NOTHING_TO_STOP = async () => {};

/** Hash by which Chromium accepts our own certificate though nobody signed it. */
function certificateFlag(certFile: string): string {
  const { publicKey } = new X509Certificate(readFileSync(certFile));
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const hash = createHash('sha256').update(der).digest('base64');
  return `--ignore-certificate-errors-spki-list=${hash}`;
}

function startHeadless(
  bridge: Bridge,
  path: string,
  { dataFolder, tls }: BridgeOptions,
  log: Logger,
): EngineBrowser {
  const browser = new HeadlessBrowser({
    path,
    profile: join(dataFolder, 'browser-profile'),
    flags: tls ? [certificateFlag(tls.certFile)] : [],
    url: () => bridge.tabUrl(),
    log,
  });
  bridge.access.onChange(() => browser.renew());
  bridge.expectEngine();
  browser.start();
  return {
    message: `The engine runs in a headless browser (${path}).`,
    stop: () => browser.stop(),
  };
}

/** Opens the engine's page as `--browser` says. Throws `StartError` where it asks for what is not there. */
export async function openEngineBrowser(
  bridge: Bridge,
  options: BridgeOptions,
  log: Logger,
): Promise<EngineBrowser> {
  const byHand = `Open ${bridge.url} in Chrome, Edge or another browser with WebGPU and leave the tab open.`;
  const mode = options.browser;
  if (mode === 'none') return { message: byHand, stop: NOTHING_TO_STOP };
  if (mode === 'open' || (mode === 'auto' && hasDesktop())) {
    if (await openPage(bridge.tabUrl())) {
      bridge.expectEngine();
      const message = `The page was opened in the default browser. If it was not: ${byHand}`;
      return { message, stop: NOTHING_TO_STOP };
    }
    if (mode === 'open') return { message: byHand, stop: NOTHING_TO_STOP };
  }
  const path = findBrowser();
  if (path) return startHeadless(bridge, path, options, log);
  if (mode === 'headless') {
    throw new StartError(
      `No browser was found for --browser headless. ${browserHint()} Or start with --browser none and open the page yourself.`,
    );
  }
  return { message: `No browser was found. ${browserHint()} Or: ${byHand}`, stop: NOTHING_TO_STOP };
}
