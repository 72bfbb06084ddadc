import { WebSocket } from 'ws';
import { RELAY_PATH, TOKEN_PATH } from '../../protocol/relay.ts';
import {
  connectRelay,
  type RelayEnvironment,
  type RelaySocket,
} from '../../web/engine/relay-client.ts';
import { createStubLocalEngine } from '../fakes/stub-local-engine.ts';
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
  /** Jobs begun, by seed, in order. */
  readonly begun: number[] = [];
  /** When the relay said welcome, by `performance.now`. */
  readonly attachedAt: number[] = [];
  /** Milliseconds of each finished job on the engine's side: from its frame's arrival to the last one sent. */
  readonly ownMs: number[] = [];
  isAttached = false;

  constructor(url: string, options: StubOptions = {}) {
    const environment: RelayEnvironment = {
      createSocket: (address) => {
        const socket = new WebSocket(address, {
          maxPayload: 128 * 1024 ** 2,
          headers: options.headers ?? {},
        });
        // What a browser tells by the close event alone.
        socket.on('error', () => {});
        this.#timeJobs(socket);
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
        return socket as unknown as RelaySocket;
      },
      fetch: (address) => fetch(address, { headers: options.headers ?? {} }),
      locks: undefined,
      random: Math.random,
    };
    this.#client = connectRelay({
      engine: createStubLocalEngine({
        status: fakeStatus(),
        catalog: FAKE_CATALOG,
        summary: fakeSummary(),
        stepMs: options.stepMs ?? 0,
        picture: (seed, infotext) =>
          options.picture ??
          tinyPng({ colour: [seed % 256, (seed >> 8) % 256, (seed >> 16) % 256], infotext }),
        onBegin: (seed) => this.begun.push(seed),
      }),
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

  #timeJobs(socket: WebSocket): void {
    let beganAt = 0;
    socket.prependListener('message', (frame: Buffer) => {
      if (frame.subarray(0, 64).includes('"type":"job"')) beganAt = performance.now();
    });
    const send = socket.send.bind(socket);
    socket.send = (data: string) => {
      send(data);
      if (data.slice(0, 64).includes('"type":"job-finished"')) {
        this.ownMs.push(performance.now() - beganAt);
      }
    };
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
