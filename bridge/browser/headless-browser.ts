import { type ChildProcess, spawn } from 'node:child_process';
import { makePrivateFolder } from '../files.ts';
import type { Logger } from '../log.ts';
import { headlessFlags } from './headless-flags.ts';
import { LastWords } from './last-words.ts';

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
/** A browser that ran this long was healthy: the next retry is quick again. */
const HEALTHY_MS = 60_000;
const STOP_GRACE_MS = 2_000;
/** What it said last may still be on its way. */
const LAST_WORDS_MS = 100;

export interface HeadlessBrowserOptions {
  readonly path: string;
  readonly profile: string;
  /** Further flags of the browser. */
  readonly flags: readonly string[];
  /** Address of the page, asked anew at each start. */
  readonly url: () => string;
  readonly log: Logger;
}

/** A browser of our own that runs the engine's page, started again whenever it ends. */
export class HeadlessBrowser {
  readonly #options: HeadlessBrowserOptions;
  #child: ChildProcess | null = null;
  #retry: NodeJS.Timeout | null = null;
  #retryMs = FIRST_RETRY_MS;
  #isStopped = false;

  constructor(options: HeadlessBrowserOptions) {
    this.#options = options;
  }

  /** Starts the browser; what goes wrong later is logged and tried again. */
  start(): void {
    const { path, profile, flags, url, log } = this.#options;
    makePrivateFolder(profile);
    const startedAt = Date.now();
    // A process group of its own, so that its helpers end with it; 3 and 4 are the debugging pipe.
    const child = spawn(path, [...headlessFlags({ profile }), ...flags, url()], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
    });
    this.#child = child;
    for (const pipe of child.stdio) pipe?.on('error', () => {});
    const words = new LastWords(child.stderr);
    let isOver = false;
    const ended = (why: string) => {
      if (isOver) return;
      isOver = true;
      if (this.#child === child) this.#child = null;
      if (this.#isStopped) return;
      if (Date.now() - startedAt > HEALTHY_MS) this.#retryMs = FIRST_RETRY_MS;
      const { said, advice } = words;
      log.warn(`The headless browser ended; it is started again. ${advice}`.trimEnd(), {
        ...{ why, said },
        seconds: this.#retryMs / 1000,
      });
      this.#retry = setTimeout(() => this.start(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
    };
    child.once('error', (error) => ended(error.message));
    child.once('exit', (code, signal) =>
      setTimeout(() => ended(signal ?? `exit code ${code}`), LAST_WORDS_MS),
    );
  }

  get processId(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Ends the browser, which is then started again with a new address: the old one's sign-in is worth nothing. */
  renew(): void {
    const pid = this.#child?.pid;
    if (pid !== undefined && !this.#isStopped) signal(pid, 'SIGTERM');
  }

  /** Ends the browser and its helpers; resolves when it is gone. Safe to call twice. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#retry) clearTimeout(this.#retry);
    const child = this.#child;
    if (!child || child.pid === undefined || child.exitCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    signal(child.pid, 'SIGTERM');
    const timer = setTimeout(() => signal(child.pid ?? 0, 'SIGKILL'), STOP_GRACE_MS);
    await exited;
    clearTimeout(timer);
  }
}

/** Signals a process group by its leader's id, or the process alone where there are no groups. */
function signal(pid: number, name: NodeJS.Signals): void {
  if (pid <= 0) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, name);
  } catch {
    // It is gone already.
  }
}
