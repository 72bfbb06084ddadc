import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root folder. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** A port that was free a moment ago on loopback. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address
          ? resolve(address.port)
          : reject(new Error('no port')),
      );
    });
  });
}

export interface RunningBridge {
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  readonly process: ChildProcess;
  /** Everything the bridge printed so far. */
  output(): string;
  /** GET that parses JSON. */
  get<T = Record<string, unknown>>(path: string): Promise<T>;
  /** POST of a JSON body; the reply's status is in `status`. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  /** Waits until /health says `ready` with a checkpoint in memory; fails with the bridge's output. */
  ready(timeoutMs?: number): Promise<void>;
  /** SIGTERM, waits for the exit, removes the data folder; resolves with the exit code. */
  stop(): Promise<number | null>;
}

interface BridgeSurroundings {
  readonly root?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly dataDir?: string;
  /** A port of before, for a bridge that is started again. */
  readonly port?: number;
}

/**
 * Starts the built bridge as its own process on a free port with an empty data folder; `root` holds the
 * build where it is not the repository's own. A `dataDir` that is given is kept.
 */
export async function startBridge(
  args: readonly string[] = [],
  { root = ROOT, env = {}, dataDir: given, port: wanted }: BridgeSurroundings = {},
): Promise<RunningBridge> {
  const port = wanted ?? (await freePort());
  const dataDir = given ?? mkdtempSync(join(tmpdir(), 'easel-e2e-'));
  const child = spawn(
    process.execPath,
    [join(root, 'build/bridge/main.js'), '--port', String(port), '--data-dir', dataDir, ...args],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } },
  );
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    text += chunk;
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const url = `http://localhost:${port}`;
  const bridge: RunningBridge = {
    url,
    port,
    dataDir,
    process: child,
    output: () => text,
    async get(path) {
      const response = await fetch(url + path);
      return await response.json();
    },
    post: (path, body, headers = {}) =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    async ready(timeoutMs = 180_000) {
      const end = Date.now() + timeoutMs;
      let last = 'no answer';
      while (Date.now() < end) {
        if (child.exitCode !== null) break;
        try {
          const response = await fetch(`${url}/health`);
          last = await response.text();
          const health = JSON.parse(last);
          if (health.status === 'ready' && health.engines[0]?.checkpoint) return;
        } catch {}
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      throw new Error(`the bridge did not become ready: ${last}\n${text}`);
    },
    async stop() {
      if (child.exitCode === null) child.kill('SIGTERM');
      const code = await exited;
      if (given === undefined) rmSync(dataDir, { recursive: true, force: true });
      return code;
    },
  };
  const end = Date.now() + 20_000;
  while (Date.now() < end && child.exitCode === null) {
    try {
      await fetch(`${url}/health`);
      return bridge;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  await bridge.stop();
  throw new Error(`the bridge did not start:\n${text}`);
}
