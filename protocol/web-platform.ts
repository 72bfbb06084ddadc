/**
 * The few web globals that browsers and Node share and that protocol/ needs; its project has no DOM types, so that
 * nothing else of a browser gets in.
 */
interface ByteReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }>;
  cancel(): Promise<void>;
}

interface ByteWriter {
  write(chunk: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** An address taken apart, as far as protocol/ reads it. */
export interface WebUrl {
  readonly href: string;
  readonly protocol: string;
  readonly host: string;
  readonly hostname: string;
  readonly origin: string;
  readonly username: string;
  readonly password: string;
  readonly pathname: string;
  readonly searchParams: { get(name: string): string | null };
}

/** An `AbortSignal` of either side. */
export interface StopSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

interface WebPlatform {
  readonly TextEncoder: new () => { encode(text: string): Uint8Array<ArrayBuffer> };
  readonly TextDecoder: new (
    label: string,
    options?: { fatal?: boolean; ignoreBOM?: boolean },
  ) => { decode(bytes: Uint8Array): string };
  readonly DecompressionStream: new (
    format: 'deflate',
  ) => {
    readonly readable: { getReader(): ByteReader };
    readonly writable: { getWriter(): ByteWriter };
  };
  readonly URL: new (url: string, base?: string) => WebUrl;
  readonly AbortController: new () => {
    readonly signal: StopSignal;
    abort(reason?: unknown): void;
  };
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

export const webPlatform = globalThis as unknown as WebPlatform;

/** Resolves after a while, or rejects with the signal's reason as soon as it is aborted. */
export function pause(delayMs: number, signal: StopSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      webPlatform.clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = webPlatform.setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, delayMs);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
