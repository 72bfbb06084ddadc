import type { MiddlewareHandler } from 'hono';
import { errorBody } from '../a1111/errors.ts';
import type { AppContext, AppEnv } from '../app-env.ts';

/** The largest request body. */
export const MAX_BODY_BYTES = 64 * 1024 ** 2;
/** All bodies together, from their first byte until their request is answered. */
const MAX_HELD_BYTES = 512 * 1024 ** 2;
/** Bodies up to here need no room of their own. */
const SMALL_BYTES = 1024 ** 2;
const RETRY_SECONDS = '5';

/** Lets one at a time through, in the order in which they came. */
class Gate {
  #tail: Promise<void> = Promise.resolve();

  /** Resolves with what lets the next one in. */
  async enter(): Promise<() => void> {
    const before = this.#tail;
    let leave = () => {};
    this.#tail = new Promise((resolve) => {
      leave = resolve;
    });
    await before;
    return leave;
  }
}

type Read =
  | { readonly type: 'whole'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: 'too-large' };

/**
 * Reads a body that did not announce its length. Only one at a time may grow beyond a small size; the
 * others wait unread, so that a crowd of endless bodies costs no more memory than one.
 */
async function readUnannounced(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  gate: Gate,
): Promise<Read> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let leave: (() => void) | null = null;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > maxBytes) return { type: 'too-large' };
      chunks.push(value);
      if (size > SMALL_BYTES) leave ??= await gate.enter();
    }
    const bytes = new Uint8Array(size);
    let offset = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, offset);
      offset += chunk.length;
    }
    return { type: 'whole', bytes };
  } finally {
    leave?.();
  }
}

function tooLarge(c: AppContext, maxBytes: number): Response {
  const message = `The request is larger than ${Math.floor(maxBytes / 1024 ** 2)} MiB.`;
  return c.json(errorBody(413, message), 413);
}

/**
 * 413 for bodies beyond `maxBytes`, announced or not, and 503 while all bodies held together would take
 * more than `maxHeldBytes`: a queue of large pictures must not fill the memory.
 */
export function limitBody({
  maxBytes = MAX_BODY_BYTES,
  maxHeldBytes = MAX_HELD_BYTES,
}: {
  maxBytes?: number;
  maxHeldBytes?: number;
} = {}): MiddlewareHandler<AppEnv> {
  const gate = new Gate();
  let heldBytes = 0;
  return async function limitBody(c, next) {
    if (['GET', 'HEAD'].includes(c.req.method)) return await next();
    const { headers } = c.req.raw;
    let size: number;
    // Asked for its body, a request becomes a whole one with streams, which costs more than a small body itself.
    if (headers.has('content-length') && !headers.has('transfer-encoding')) {
      size = Number(headers.get('content-length'));
      if (size > maxBytes) return tooLarge(c, maxBytes);
    } else {
      const { body } = c.req.raw;
      if (!body) return await next();
      const read = await readUnannounced(body, maxBytes, gate);
      if (read.type === 'too-large') return tooLarge(c, maxBytes);
      size = read.bytes.length;
      c.req.raw = new Request(c.req.raw, { body: read.bytes });
    }
    if (size > SMALL_BYTES && heldBytes + size > maxHeldBytes) {
      const message = 'Requests with large pictures fill the memory. Try again in a moment.';
      return c.json(errorBody(503, message), 503, { 'retry-after': RETRY_SECONDS });
    }
    heldBytes += size;
    try {
      return await next();
    } finally {
      heldBytes -= size;
    }
  };
}
