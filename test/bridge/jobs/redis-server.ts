import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import { findRedis } from '../../../tools/lib/redis.mjs';
import { temporaryFolder } from '../support.ts';

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}

/** A real Redis on a free loopback port with an append-only file in a folder of its own. */
export class TestRedis {
  readonly url: string;
  readonly #port: number;
  readonly #path: string;
  readonly #folder = temporaryFolder();
  #process: ChildProcess | null = null;

  private constructor(path: string, port: number) {
    this.#path = path;
    this.#port = port;
    this.url = `redis://127.0.0.1:${port}`;
  }

  static async start(): Promise<TestRedis> {
    const path = findRedis();
    if (path === null) throw new Error('redis-server is missing: npm test installs it or says how');
    const redis = new TestRedis(path, await freePort());
    await redis.up();
    return redis;
  }

  /** Starts the server, with what its file holds, and waits until it answers. */
  async up(): Promise<void> {
    const flags = { port: this.#port, bind: '127.0.0.1', dir: this.#folder.path };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const log = [
      '--appendonly',
      'yes',
      '--appendfsync',
      'always',
      '--save',
      '',
      '--logfile',
      'redis.log',
    ];
    this.#process = spawn(this.#path, [...args, ...log], { stdio: 'ignore' });
    const client = new Redis(this.url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    client.on('error', () => {});
    await client.ping();
    client.disconnect();
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  async empty(): Promise<void> {
    const client = new Redis(this.url);
    await client.flushall();
    client.disconnect();
  }

  async stop(): Promise<void> {
    await this.kill();
    this.#folder.remove();
  }
}
