import { WebSocket } from 'ws';
import { RELAY_PATH, TOKEN_PATH } from '../../protocol/relay.ts';
import type { LocalEngine } from '../../web/engine/local-engine.ts';
import {
  connectRelay,
  type RelayEnvironment,
  type RelaySocket,
} from '../../web/engine/relay-client.ts';
import type { GenerateOptions } from '../../web/shared/engine.ts';
import { createWatched } from '../../web/shared/watched.ts';
import { FAKE_CATALOG, fakeStatus, fakeSummary } from '../fakes/tab-frames.ts';
import { tinyPng } from '../fakes/tiny-png.ts';

export interface StubOptions {
  /** Milliseconds that one step takes. */
  readonly stepMs?: number;
  /** The picture's file, else a small PNG of the seed's colour. */
  readonly picture?: Uint8Array;
  readonly headers?: Record<string, string>;
}

/**
 * The engine of a tab with a fake denoiser behind the product's own relay client: reconnects with its
 * back-off, keeps results until they are acknowledged, names its job in heartbeats.
 */
export class StubEngine {
  readonly #sockets = new Set<WebSocket>();
  readonly #client: ReturnType<typeof connectRelay>;
  readonly #status = createWatched(fakeStatus());
  readonly #options: StubOptions;
  #cancelled: 'interrupt' | 'skip' | null = null;
  #tail: Promise<unknown> = Promise.resolve();
  /** Jobs begun, by seed, in order. */
  readonly begun: number[] = [];
  /** When the relay said welcome, by `performance.now`. */
  readonly attachedAt: number[] = [];
  isAttached = false;

  constructor(url: string, options: StubOptions = {}) {
    this.#options = options;
    const environment: RelayEnvironment = {
      createSocket: (address) => {
        const socket = new WebSocket(address, {
          maxPayload: 128 * 1024 ** 2,
          headers: options.headers ?? {},
        });
        // What a browser tells by the close event alone.
        socket.on('error', () => {});
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
        return socket as unknown as RelaySocket;
      },
      fetch: (address) => fetch(address, { headers: options.headers ?? {} }),
      locks: undefined,
      random: Math.random,
    };
    this.#client = connectRelay({
      engine: this.#engine(),
      relay: { url: url + RELAY_PATH, tokenUrl: url + TOKEN_PATH },
      appVersion: '0.1.0',
      environment,
    });
    this.#client.onStatus(({ state }) => {
      const was = this.isAttached;
      this.isAttached = state === 'attached';
      if (!was && this.isAttached) this.attachedAt.push(performance.now());
    });
  }

  static async attach(url: string, options: StubOptions = {}): Promise<StubEngine> {
    const engine = new StubEngine(url, options);
    const end = Date.now() + 20_000;
    while (!engine.isAttached) {
      if (Date.now() > end) throw new Error('the stub engine could not attach');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return engine;
  }

  #engine(): LocalEngine {
    const catalog = createWatched(FAKE_CATALOG);
    const unasked = () => Promise.reject(new Error('not asked for'));
    return {
      onStatus: this.#status.watch,
      onCatalog: catalog.watch,
      loadCheckpoint: async () => {},
      unloadCheckpoint: async () => {},
      refreshModels: async () => {},
      addFiles: unasked,
      forgetFiles: unasked,
      lockedFiles: async () => [],
      exportCompiled: unasked,
      importCompiled: unasked,
      listCompiled: async () => [],
      deleteCompiled: unasked,
      deleteAllCompiled: unasked,
      storageEstimate: async () => null,
      countTokens: async (prompts) => prompts.map(() => null),
      generate: (params, options = {}) => {
        const run = this.#tail.then(() => this.#generate(params, options));
        this.#tail = run.catch(() => {});
        return run;
      },
      skip: () => {
        this.#cancelled = 'skip';
      },
      interrupt: () => {
        this.#cancelled = 'interrupt';
      },
      close: async () => {},
      activate: async () => {},
      setWaiting: () => {},
    };
  }

  async #generate(
    params: Parameters<LocalEngine['generate']>[0],
    { signal, onProgress, onImage }: GenerateOptions,
  ) {
    const { steps, batchSize, batchCount, width, height, prompt, negativePrompt } = params;
    const count = batchSize * batchCount;
    this.begun.push(params.seed);
    this.#cancelled = null;
    this.#status.set(fakeStatus({ state: 'busy' }));
    try {
      for (let index = 0; index < count && this.#cancelled !== 'interrupt'; index += 1) {
        for (let step = 1; step <= steps && this.#cancelled === null; step += 1) {
          signal?.throwIfAborted();
          if (this.#options.stepMs) {
            await new Promise((resolve) => setTimeout(resolve, this.#options.stepMs));
          }
          onProgress?.({
            ...{ stage: 'sampling', imageIndex: index, imageCount: count, step, steps },
            ...{ fraction: (index + step / steps) / count, etaSeconds: 0, message: '' },
          });
        }
        if (this.#cancelled === 'skip') {
          this.#cancelled = null;
          continue;
        }
        const seed = params.seed + index;
        const infotext = `${prompt}\nSteps: ${steps}, Seed: ${seed}`;
        const colour = [seed % 256, (seed >> 8) % 256, (seed >> 16) % 256];
        const bytes = this.#options.picture ?? tinyPng({ colour, infotext });
        onImage?.({
          ...{ index, format: 'png', bytes: new Uint8Array(bytes), infotext },
          ...{ prompt, negativePrompt, seed, subseed: 0, width: 8, height: 8 },
        });
      }
      return fakeSummary({ interrupted: this.#cancelled === 'interrupt', width, height });
    } finally {
      this.#status.set(fakeStatus());
    }
  }

  /** Breaks the connection as a network does, without a close frame; the client comes back by itself. */
  cut(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  /** Goes away as a killed tab does, for good. */
  async kill(): Promise<void> {
    this.cut();
    await this.#client.close();
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}
