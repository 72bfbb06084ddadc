import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generationParams } from '../protocol/generation.ts';
import { type Bridge, startBridge } from './bridge.ts';
import { type EngineBrowser, openEngineBrowser } from './browser/engine-browser.ts';
import { lockDataFolder } from './data-lock.ts';
import { makePrivateFolder, writeFileWhole } from './files.ts';
import { createLogger } from './log.ts';
import type { BridgeOptions, PictureOptions } from './options/options.ts';
import { originWarnings } from './security/origin-check.ts';
import { StartError } from './server.ts';
import { banner } from './terminal/banner.ts';
import { showStatus } from './terminal/show-status.ts';
import { StatusLine } from './terminal/status-line.ts';
import { warmUp } from './warm-up.ts';

/** How long the one-picture command waits for its browser. */
const PICTURE_ENGINE_WAIT_MS = 120_000;

/** What a command prints to and ends with. */
export interface CommandContext {
  readonly distFolder: string;
  /** Aborted when the process is asked to stop. */
  readonly signal: AbortSignal;
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return Promise.race([
    promise,
    whenAborted(signal).then(() => {
      throw signal.reason;
    }),
  ]);
}

async function closeAll(bridge: Bridge, browser: EngineBrowser | null): Promise<void> {
  // The bridge first: a running job may finish only while its browser lives.
  await bridge.stop();
  await browser?.stop();
}

/** Serves until the signal; resolves once everything is closed. */
export async function serve(
  options: BridgeOptions,
  { distFolder, signal }: CommandContext,
): Promise<void> {
  const line = new StatusLine(process.stdout);
  const log = createLogger({
    level: options.logLevel,
    format: options.logFormat,
    write: (text) => (process.stdout.isTTY ? line.print(text) : console.error(text)),
  });
  const bridge = await startBridge(options, { distFolder, log });
  let browser: EngineBrowser | null = null;
  try {
    for (const warning of originWarnings(options.origins)) log.warn(warning);
    line.print(banner(bridge, options));
    setTimeout(() => void warmUp(), 0);
    browser = await openEngineBrowser(bridge, options, log);
    line.print(`${browser.message}\nStop with Ctrl+C.`);
    const endStatus = showStatus(bridge, line);
    void bridge.downloadedCheckpoint.catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      if (!signal.aborted) line.print(`--ckpt: ${reason}`);
    });
    await whenAborted(signal);
    endStatus();
    line.print('Stopping …');
  } finally {
    await closeAll(bridge, browser);
  }
}

/**
 * A data folder for the one-picture command: the usual one, so that compiled models are found again;
 * one beside it while a server uses that; else one that is thrown away.
 */
async function pictureFolder(
  wanted: string,
): Promise<{ folder: string; dispose: () => Promise<void> }> {
  for (const folder of [wanted, join(wanted, 'command-line')]) {
    makePrivateFolder(folder);
    const lock = await lockDataFolder(folder);
    if (!lock) continue;
    await lock.release();
    return { folder, dispose: async () => {} };
  }
  const folder = mkdtempSync(join(tmpdir(), 'easel-'));
  return { folder, dispose: () => rm(folder, { recursive: true, force: true }) };
}

/** Makes one picture with a private bridge on a free port and a browser of its own. */
export async function makePicture(
  given: BridgeOptions,
  picture: PictureOptions,
  { distFolder, signal }: CommandContext,
): Promise<void> {
  const { folder, dispose } = await pictureFolder(given.dataFolder);
  const options: BridgeOptions = {
    ...given,
    dataFolder: folder,
    port: 0,
    listen: null,
    tls: null,
    credentials: [],
    passwordFile: null,
    // A window that opens and stays would be in the way.
    browser: given.browser === 'auto' ? 'headless' : given.browser,
    engineWaitMs: Math.max(given.engineWaitMs, PICTURE_ENGINE_WAIT_MS),
  };
  const line = new StatusLine(process.stderr);
  const level = given.logLevel === 'info' ? 'warn' : given.logLevel;
  const log = createLogger({ level, write: (text) => line.print(text) });
  const bridge = await startBridge(options, { distFolder, log });
  let browser: EngineBrowser | null = null;
  try {
    browser = await openEngineBrowser(bridge, options, log);
    if (options.browser !== 'headless') line.print(browser.message);
    const endStatus = showStatus(bridge, line);
    const downloaded = await unlessAborted(bridge.downloadedCheckpoint, signal);
    const params = generationParams.parse(picture.params);
    const result = await bridge.services.jobs.submit(
      {
        params: downloaded === null ? params : { ...params, checkpoint: downloaded },
        client: 'command line',
        key: null,
        saveImages: false,
      },
      { signal },
    );
    endStatus();
    const image = result.images[0];
    if (!image) throw new StartError('The engine returned no picture.');
    await writeFileWhole(picture.out, Buffer.from(image.data, 'base64'), { mode: 0o644 });
    for (const note of result.summary.notes) line.print(note);
    console.log(`${picture.out} (seed ${image.seed}, ${image.width} × ${image.height})`);
  } finally {
    await closeAll(bridge, browser);
    await dispose();
  }
}

/** Deletes what can be made again: the headless browser's profile and the list of file hashes. */
export async function clearCache({ dataFolder }: BridgeOptions): Promise<void> {
  makePrivateFolder(dataFolder);
  const lock = await lockDataFolder(dataFolder);
  if (!lock) throw new StartError(`An Easel runs with ${dataFolder}. Stop it first.`);
  try {
    for (const name of ['browser-profile', 'command-line', 'hashes.json']) {
      await rm(join(dataFolder, name), { recursive: true, force: true });
    }
  } finally {
    await lock.release();
  }
  console.log(
    `The headless browser's compiled models in ${dataFolder} are deleted. Those of your own browser are deleted on Easel's page.`,
  );
}
