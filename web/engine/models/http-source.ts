import { GenerationError } from '../../../protocol/errors.ts';
import type { ByteSource } from '../../compiler/model.ts';

export interface HttpSourceOptions {
  readonly url: string;
  /** Path below the model's folder, or the file's own name. */
  readonly path: string;
  /** As the listing says; another size at the host is an error. */
  readonly sizeBytes: number;
  /** Waits between tries, in milliseconds. */
  readonly retryDelaysMs?: readonly number[];
}

/** Small reads are served from a block of this size, so that a folder of small tensors is few requests. */
const BLOCK_BYTES = 4 * 2 ** 20;
const RETRY_DELAYS_MS = [250, 1000, 3000];
const RETRYABLE_STATUS = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Something that trying again may mend. */
class TransientError extends Error {}

/**
 * A file on an HTTP host, read by ranges. Cut connections are taken up where they broke; a host that
 * ignores ranges is read once and the file kept as a Blob. Rejects with `download-failed`, naming the
 * file, when the host answers with something else than the file of the listed size.
 */
export function createHttpSource(options: HttpSourceOptions): ByteSource {
  const { url, path, sizeBytes, retryDelaysMs = RETRY_DELAYS_MS } = options;
  let block: { offset: number; bytes: Uint8Array } | null = null;
  let whole: Blob | null = null;

  async function read(
    offset: number,
    length: number,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Uint8Array> {
    if (offset < 0 || offset + length > sizeBytes) {
      throw new GenerationError(
        'invalid-model',
        `${path} has ${sizeBytes} bytes, but bytes ${offset} to ${offset + length} are needed: the file is cut short.`,
      );
    }
    if (length === 0) return new Uint8Array(0);
    if (whole) {
      return new Uint8Array(await whole.slice(offset, offset + length).arrayBuffer());
    }
    const cached = fromBlock(offset, length);
    if (cached) return cached;
    if (length >= BLOCK_BYTES) return download(offset, length, signal);
    const bytes = await download(offset, Math.min(BLOCK_BYTES, sizeBytes - offset), signal);
    block = { offset, bytes };
    return bytes.subarray(0, length);
  }

  function fromBlock(offset: number, length: number): Uint8Array | null {
    if (!block || offset < block.offset) return null;
    const start = offset - block.offset;
    return start + length <= block.bytes.length
      ? block.bytes.subarray(start, start + length)
      : null;
  }

  async function download(
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const target = new Uint8Array(length);
    let filled = 0;
    for (let failures = 0; filled < length; ) {
      try {
        const before = filled;
        filled += await request(offset + filled, target.subarray(filled), signal);
        // Bytes came: what broke before is no reason to give up.
        if (filled > before) failures = 0;
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof TransientError)) throw error;
        const delayMs = retryDelaysMs[failures++];
        if (delayMs === undefined) {
          throw new GenerationError(
            'download-failed',
            `${path} could not be read: ${error.message}. Check the connection and try again.`,
            { cause: error },
          );
        }
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
    return target;
  }

  /** One request for `target`'s bytes from `offset`; the number that came before the connection ended. */
  async function request(
    offset: number,
    target: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const response = await fetch(url, {
      headers: { range: `bytes=${offset}-${offset + target.length - 1}` },
      ...(signal ? { signal } : {}),
    }).catch((error: unknown) => {
      throw new TransientError('the host did not answer', { cause: error });
    });
    if (RETRYABLE_STATUS.has(response.status)) {
      await response.body?.cancel();
      throw new TransientError(`the host answered ${response.status}`);
    }
    checkResponse(response, path, sizeBytes);
    if (response.status === 206) return fill(target, response);
    // The host ignores ranges: read the file once and serve every range from it.
    const blob = await response.blob().catch((error: unknown) => {
      throw new TransientError('the connection broke', { cause: error });
    });
    checkSize(blob.size, path, sizeBytes);
    whole = blob;
    target.set(new Uint8Array(await blob.slice(offset, offset + target.length).arrayBuffer()));
    return target.length;
  }

  return { path, sizeBytes, read };
}

function checkResponse(response: Response, path: string, sizeBytes: number): void {
  const type = response.headers.get('content-type') ?? '';
  if (response.status !== 200 && response.status !== 206) {
    void response.body?.cancel();
    throw new GenerationError(
      'download-failed',
      `${path} could not be read: the host answered ${response.status}.`,
    );
  }
  if (/^text\/html\b/i.test(type)) {
    void response.body?.cancel();
    throw new GenerationError(
      'download-failed',
      `The host answered with a web page instead of ${path}: the address is wrong, or the host asks for a login.`,
    );
  }
  const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  if (total !== undefined) checkSize(Number(total), path, sizeBytes);
}

function checkSize(found: number, path: string, expected: number): void {
  if (found === expected) return;
  throw new GenerationError(
    'download-failed',
    `${path} has ${found} bytes at the host, but ${expected} were expected: the file changed. Refresh the list of models and try again.`,
  );
}

async function fill(target: Uint8Array, response: Response): Promise<number> {
  if (!response.body) throw new TransientError('the host sent no bytes');
  const reader = response.body.getReader();
  let filled = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const taken = value.subarray(0, target.length - filled);
      target.set(taken, filled);
      filled += taken.length;
    }
  } catch (error) {
    if (filled === 0) throw new TransientError('the connection broke', { cause: error });
  }
  if (filled === 0) throw new TransientError('the host sent no bytes');
  return filled;
}
