import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { findChromium } from '../../../tools/lib/chromium.mjs';

const FLAGS = [
  ...['--headless=new', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update', '--remote-debugging-port=0'],
];
const STARTED = /DevTools listening on (ws:\/\/\S+)/;

/** Flags by which a browser that is driven so has WebGPU without a graphics card. */
export const SOFTWARE_WEBGPU = [
  ...['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'],
];

interface Reply {
  readonly result?: Record<string, unknown>;
  readonly error?: { message: string };
}

interface BrowserEvent {
  readonly method: string;
  readonly params: Record<string, unknown>;
  /** Of the page or worker that it is about. */
  readonly sessionId?: string;
}

/** A page of a browser that is driven without Playwright. */
export interface RawPage {
  readonly targetId: string;
  /** A command of the DevTools protocol for this page. */
  send(method: string, params?: Record<string, unknown>): Promise<Record<string, unknown>>;
  /** The value of an expression; promises are awaited. */
  evaluate<T>(expression: string): Promise<T>;
}

/**
 * Chromium over a plain DevTools connection. Playwright keeps every tab visible and switches the
 * throttling of hidden ones off; here tabs are hidden, throttled and frozen as a user's are.
 */
export class RawBrowser {
  readonly #child: ChildProcess;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #pending = new Map<number, (reply: Reply) => void>();
  readonly #listeners = new Set<(event: BrowserEvent) => void>();
  #nextId = 1;

  private constructor(child: ChildProcess, socket: WebSocket, profile: string) {
    this.#child = child;
    this.#socket = socket;
    this.#profile = profile;
    socket.on('message', (data) => {
      const { id, ...rest } = JSON.parse(String(data)) as { id?: number };
      if (id === undefined) {
        for (const listener of this.#listeners) listener(rest as BrowserEvent);
        return;
      }
      this.#pending.get(id)?.(rest as Reply);
      this.#pending.delete(id);
    });
  }

  /** `state` is what the browser is to find in its profile as kept from before. */
  static async launch(
    flags: readonly string[] = [],
    state?: Readonly<Record<string, unknown>>,
  ): Promise<RawBrowser> {
    const executable = findChromium();
    if (!executable) throw new Error('no Chromium found; npm test installs or names one');
    const profile = mkdtempSync(join(tmpdir(), 'easel-raw-'));
    if (state) writeFileSync(join(profile, 'Local State'), JSON.stringify(state));
    const child = spawn(
      executable,
      [...FLAGS, ...flags, `--user-data-dir=${profile}`, 'about:blank'],
      {
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    const address = await new Promise<string>((resolve, reject) => {
      let said = '';
      const timer = setTimeout(() => reject(new Error(`Chromium did not start:\n${said}`)), 30_000);
      child.stderr?.on('data', (chunk) => {
        said += chunk;
        const found = STARTED.exec(said)?.[1];
        if (found === undefined) return;
        clearTimeout(timer);
        resolve(found);
      });
    });
    const socket = new WebSocket(address, { maxPayload: 256 * 1024 ** 2 });
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return new RawBrowser(child, socket, profile);
  }

  send(
    method: string,
    params: Record<string, unknown> = {},
    sessionId?: string,
  ): Promise<Record<string, unknown>> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, ({ result, error }) =>
        error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result ?? {}),
      );
      this.#socket.send(
        JSON.stringify({ id, method, params, ...(sessionId ? { sessionId } : {}) }),
      );
    });
  }

  /** A profile of its own, with its own locks and storage. */
  async profile(): Promise<string> {
    return String((await this.send('Target.createBrowserContext')).browserContextId);
  }

  async open(url: string, browserContextId?: string): Promise<RawPage> {
    const { targetId } = await this.send('Target.createTarget', {
      url,
      ...(browserContextId ? { browserContextId } : {}),
    });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    return this.#attached(String(targetId), String(sessionId));
  }

  #attached(targetId: string, sessionId: string): RawPage {
    const send = (method: string, params: Record<string, unknown> = {}) =>
      this.send(method, params, sessionId);
    return {
      targetId,
      send,
      async evaluate<T>(expression: string) {
        const { result, exceptionDetails } = await send('Runtime.evaluate', {
          ...{ expression, awaitPromise: true, returnByValue: true },
        });
        if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
        return (result as { value: T }).value;
      },
    };
  }

  /** Opens a page whose workers are seen, each before its first line: `prepare` is run in it then. */
  async openWithWorkers(url: string, prepare = ''): Promise<{ page: RawPage; workers: RawPage[] }> {
    const page = await this.open('about:blank');
    const workers: RawPage[] = [];
    this.#listeners.add(({ method, params }) => {
      const { targetInfo, sessionId } = params as {
        targetInfo?: { targetId: string; type: string };
        sessionId?: string;
      };
      if (method !== 'Target.attachedToTarget' || !sessionId || targetInfo?.type !== 'worker')
        return;
      const worker = this.#attached(targetInfo.targetId, sessionId);
      workers.push(worker);
      if (prepare !== '') void worker.evaluate(prepare).catch(() => {});
      void worker.send('Runtime.runIfWaitingForDebugger').catch(() => {});
    });
    await page.send('Target.setAutoAttach', {
      ...{ autoAttach: true, waitForDebuggerOnStart: true, flatten: true },
    });
    await page.send('Page.navigate', { url });
    return { page, workers };
  }

  /** Brings a tab to the front; the others of its window are hidden. */
  async activate({ targetId }: RawPage): Promise<void> {
    await this.send('Target.activateTarget', { targetId });
  }

  async close({ targetId }: RawPage): Promise<void> {
    await this.send('Target.closeTarget', { targetId });
  }

  /** Ids of the browser's processes, its own first. */
  processes(): number[] {
    const own = this.#child.pid ?? 0;
    const parents = new Map<number, number>();
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
      } catch {
        // It ended meanwhile.
      }
    }
    const found = [own];
    for (const parent of found) {
      for (const [pid, of] of parents) if (of === parent) found.push(pid);
    }
    return found;
  }

  /** Id of the process that drives the graphics card. */
  get gpuProcess(): number | undefined {
    return this.processes().find((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=gpu-process');
      } catch {
        // It ended meanwhile.
        return false;
      }
    });
  }

  /** Ends the process that drives the graphics card, as a crash of the driver does. */
  killGpuProcess(): void {
    const pid = this.gpuProcess;
    if (pid === undefined) throw new Error('the browser has no GPU process');
    process.kill(pid, 'SIGKILL');
  }

  /** Signals every process: SIGSTOP and SIGCONT are a machine's sleep. */
  signal(name: NodeJS.Signals): void {
    for (const pid of this.processes()) {
      try {
        process.kill(pid, name);
      } catch {
        // It ended meanwhile.
      }
    }
  }

  async stop(): Promise<void> {
    this.signal('SIGCONT');
    this.#socket.close();
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null && this.#child.pid !== undefined) {
      process.kill(-this.#child.pid, 'SIGKILL');
      await gone;
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
