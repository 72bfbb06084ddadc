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
}

export const webPlatform = globalThis as unknown as WebPlatform;
