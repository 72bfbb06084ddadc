import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bridge, startBridge } from '../../bridge/bridge.ts';
import { createLogger, type Logger } from '../../bridge/log.ts';
import type { BridgeOptions } from '../../bridge/options/options.ts';
import { parseCommand } from '../../bridge/options/parse-command.ts';

/** A folder of its own below the system's temporary one. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'easel-test-'));
  // Results of the last jobs may still be on their way to the disk.
  const patience = { maxRetries: 5, retryDelay: 50 };
  return { path, remove: () => rmSync(path, { recursive: true, force: true, ...patience }) };
}

/** Options as a command line gives them, on a free port and with no browser. */
export function optionsOf(dataFolder: string, args: readonly string[] = []): BridgeOptions {
  const command = parseCommand(
    ['--port', '0', '--browser', 'none', '--data-dir', dataFolder, ...args],
    { cwd: dataFolder },
  );
  if (command.type !== 'serve') throw new Error('not a command line that serves');
  return command.options;
}

/** A page folder with what the bridge serves from it. */
export function fakeDist(folder: string): string {
  const dist = join(folder, 'dist');
  mkdirSync(join(dist, 'assets'), { recursive: true });
  mkdirSync(join(dist, 'models', 'easel-tiny', 'unet'), { recursive: true });
  writeFileSync(join(dist, 'index.html'), '<!doctype html><title>Easel</title>');
  writeFileSync(join(dist, 'assets', 'main-abc123.js'), 'export {};');
  writeFileSync(join(dist, 'assets', 'ort-abc123.wasm'), Buffer.from([0, 0x61, 0x73, 0x6d]));
  writeFileSync(join(dist, 'models', 'easel-tiny', 'model_index.json'), '{}');
  writeFileSync(join(dist, 'models', 'easel-tiny', 'unet', 'model.safetensors'), 'weights');
  const index = {
    models: [
      {
        kind: 'checkpoint',
        name: 'easel-tiny',
        source: 'embedded',
        filename: 'models/easel-tiny',
        url: 'models/easel-tiny/',
        files: [
          { path: 'model_index.json', sizeBytes: 2 },
          { path: 'unet/model.safetensors', sizeBytes: 7 },
        ],
        version: 'v1',
      },
    ],
  };
  writeFileSync(join(dist, 'models', 'index.json'), JSON.stringify(index));
  return dist;
}

/** Log lines as they were written. */
export function logLines(): { lines: string[]; log: Logger } {
  const lines: string[] = [];
  return { lines, log: createLogger({ level: 'debug', write: (line) => lines.push(line) }) };
}

export interface TestBridge extends Bridge {
  readonly dataFolder: string;
  readonly lines: readonly string[];
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  dispose(): Promise<void>;
}

/** A whole bridge in this process on a free loopback port; `dataFolder` is kept where it is given. */
export async function startTestBridge(
  args: readonly string[] = [],
  { dataFolder }: { dataFolder?: string } = {},
): Promise<TestBridge> {
  const folder = dataFolder ? { path: dataFolder, remove: () => {} } : temporaryFolder();
  const { lines, log } = logLines();
  const distFolder = existsSync(join(folder.path, 'dist'))
    ? join(folder.path, 'dist')
    : fakeDist(folder.path);
  const bridge = await startBridge(optionsOf(folder.path, args), { distFolder, log });
  return {
    ...bridge,
    dataFolder: folder.path,
    lines,
    post: (path, body, headers = {}) =>
      fetch(bridge.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    async dispose() {
      await bridge.stop();
      folder.remove();
    },
  };
}
