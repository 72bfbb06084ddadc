import { WebSocket } from 'ws';
import type { EngineStatus } from '../../protocol/device.ts';
import { type EngineStart, RELAY_TOKEN_PARAMETER } from '../../protocol/engine-start.ts';
import { isTerminal, type JobEvent } from '../../protocol/job.ts';
import {
  type BridgeMessage,
  HEARTBEAT_MS,
  parseBridgeMessage,
  type TabMessage,
  TOKEN_PATH,
} from '../../protocol/relay.ts';
import {
  type Attempt,
  fakeStatus,
  finishedFrame,
  heartbeatFrame,
  helloFrame,
  imagesOf,
  progressFrame,
} from './tab-frames.ts';

export interface FakeTabOptions {
  readonly engineName?: string;
  /** Milliseconds that one step takes. */
  readonly stepMs?: number;
  /** False: jobs are only collected in `jobs`, and the test answers them. */
  readonly answers?: boolean;
  readonly status?: Partial<EngineStatus>;
  readonly job?: Attempt | null;
  /** Headers of the requests, e.g. a password. */
  readonly headers?: Record<string, string>;
}

type Job = Extract<BridgeMessage, { type: 'job' }>;

/** A tab without an engine: speaks the relay protocol over a real socket and answers jobs with real PNGs. */
export class FakeTab {
  readonly received: BridgeMessage[] = [];
  readonly jobs: Job[] = [];
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;
  readonly #options: FakeTabOptions;
  readonly #heartbeat: NodeJS.Timeout;
  #running: (Attempt & { step: number }) | null = null;
  #cancelled: 'interrupt' | 'skip' | null = null;
  #waiters: (() => void)[] = [];

  private constructor(socket: WebSocket, options: FakeTabOptions) {
    this.#socket = socket;
    this.#options = options;
    this.closed = new Promise((resolve) => {
      socket.once('close', (code) => {
        clearInterval(this.#heartbeat);
        resolve(code);
        this.#wake();
      });
    });
    socket.on('message', (data) => this.#receive(parseBridgeMessage(String(data))));
    this.#heartbeat = setInterval(() => this.send(heartbeatFrame(this.#running)), HEARTBEAT_MS);
  }

  /** Fetches the token as the page does, opens the socket and says hello. */
  static async attach(bridgeUrl: string, options: FakeTabOptions = {}): Promise<FakeTab> {
    const reply = await fetch(bridgeUrl + TOKEN_PATH, { headers: options.headers ?? {} });
    if (!reply.ok) throw new Error(`no token: ${reply.status} ${await reply.text()}`);
    const start = (await reply.json()) as EngineStart;
    const url = new URL(start.relayPath, bridgeUrl.replace(/^http/, 'ws'));
    url.searchParams.set(RELAY_TOKEN_PARAMETER, start.token);
    const socket = new WebSocket(url, { maxPayload: 128 * 1024 ** 2 });
    const tab = new FakeTab(socket, options);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    tab.send(
      helloFrame({
        engineName: options.engineName ?? `fake-${Math.random().toString(36).slice(2)}`,
        status: fakeStatus(options.status ?? {}),
        job: options.job ?? null,
      }),
    );
    await tab.until(() => tab.received.some(({ type }) => type === 'welcome'));
    return tab;
  }

  send(message: TabMessage): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Sends anything, for what no proper tab would send. */
  sendRaw(text: string): void {
    this.#socket.send(text);
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  /** Waits for a condition on what was received; fails after `timeoutMs`. */
  async until(condition: () => boolean, timeoutMs = 5_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (!condition()) {
      if (Date.now() > end) throw new Error('the bridge did not send what was expected');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50);
        this.#waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #receive(message: BridgeMessage): void {
    this.received.push(message);
    switch (message.type) {
      case 'job':
        this.jobs.push(message);
        if (this.#options.answers !== false) void this.#run(message);
        break;
      case 'cancel':
        if (this.#running?.jobId === message.jobId) this.#cancelled = message.mode;
        break;
      case 'control':
        this.send({ type: 'control-done', id: message.id, error: null });
        break;
      default:
    }
    this.#wake();
  }

  async #run({ jobId, attempt, params }: Job): Promise<void> {
    this.#running = { jobId, attempt, step: 0 };
    this.#cancelled = null;
    const lease = { jobId, attempt };
    const images = imagesOf(params, lease);
    let interrupted = false;
    for (const image of images) {
      for (let step = 1; step <= params.steps && this.#cancelled === null; step += 1) {
        if (this.#options.stepMs) await new Promise((r) => setTimeout(r, this.#options.stepMs));
        this.#running.step = step;
        const done = image.index + step / params.steps;
        this.send(
          progressFrame(lease, {
            imageIndex: image.index,
            imageCount: images.length,
            step,
            steps: params.steps,
            fraction: done / images.length,
          }),
        );
      }
      const mode = this.#cancelled;
      if (mode === 'skip') {
        this.#cancelled = null;
        continue;
      }
      this.send(image);
      interrupted = mode === 'interrupt';
      if (interrupted) break;
    }
    const { width, height } = params;
    this.finish(finishedFrame(lease, { interrupted, width, height }));
  }

  /** Sends the last event of a job. */
  finish(event: JobEvent): void {
    if (isTerminal(event)) this.#running = null;
    this.send(event);
  }

  /** Goes away as a killed tab does: without a close frame. */
  kill(): void {
    this.#socket.terminate();
  }

  async close(): Promise<void> {
    this.#socket.close(1001);
    await this.closed;
  }
}
