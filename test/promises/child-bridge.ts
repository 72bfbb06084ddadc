import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunningBridge, startBridge } from '../e2e/support/bridge.ts';

/** The built bridge as a process of its own, on the same port and data folder after every restart. */
export class ChildBridge {
  #bridge: RunningBridge;
  readonly port: number;
  readonly dataDir: string;
  readonly #args: readonly string[];
  readonly #env: Record<string, string>;

  private constructor(bridge: RunningBridge, args: readonly string[], env: Record<string, string>) {
    this.#bridge = bridge;
    this.port = bridge.port;
    this.dataDir = bridge.dataDir;
    this.#args = args;
    this.#env = env;
  }

  static async start(
    dataDir: string,
    args: readonly string[] = [],
    env: Record<string, string> = {},
  ): Promise<ChildBridge> {
    const all = ['--browser', 'none', '--output-dir', join(dataDir, 'out'), ...args];
    return new ChildBridge(await startBridge(all, { dataDir, env }), all, env);
  }

  get url(): string {
    return this.#bridge.url;
  }

  get pid(): number {
    const { pid } = this.#bridge.process;
    if (pid === undefined) throw new Error('the bridge has no process');
    return pid;
  }

  get running(): RunningBridge {
    return this.#bridge;
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    const { process: child } = this.#bridge;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Starts it again at the same place; resolves with the milliseconds until it listened. */
  async restart(): Promise<number> {
    const start = performance.now();
    this.#bridge = await startBridge(this.#args, {
      dataDir: this.dataDir,
      env: this.#env,
      port: this.port,
    });
    return performance.now() - start;
  }

  /** Resident memory in MiB, and open files. */
  usage(): { rssMiB: number; files: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const rssMiB = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
    return { rssMiB, files: readdirSync(`/proc/${this.pid}/fd`).length };
  }

  async stop(): Promise<number | null> {
    return await this.#bridge.stop();
  }
}
