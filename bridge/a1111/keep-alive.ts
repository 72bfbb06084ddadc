import type { Context } from 'hono';

/** Header by which a client asks for white space while it waits: seconds between two bytes. */
const KEEP_ALIVE_HEADER = 'x-easel-keep-alive';

/** Seconds that the header asks for, 1 to 300; null where it is absent or unreadable. */
export function keepAliveSeconds(c: Context): number | null {
  const seconds = Number(c.req.header(KEEP_ALIVE_HEADER) || Number.NaN);
  return seconds >= 1 && seconds <= 300 ? seconds : null;
}

/**
 * A JSON body that starts with a space every `intervalMs` until `pending` settles: JSON allows white space in front,
 * and nobody between client and bridge takes the connection for dead. `pending` must not reject.
 */
export function whitespaceUntil(
  pending: Promise<string>,
  { intervalMs }: { intervalMs: number },
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let timer: ReturnType<typeof setInterval> | undefined;
  return new ReadableStream({
    start(controller) {
      controller.enqueue(encoder.encode(' '));
      timer = setInterval(() => controller.enqueue(encoder.encode(' ')), intervalMs);
      void pending.then((text) => {
        clearInterval(timer);
        // A client that has gone has closed the stream already; the job's result is kept for it.
        try {
          controller.enqueue(encoder.encode(text));
          controller.close();
        } catch {}
      });
    },
    cancel() {
      clearInterval(timer);
    },
  });
}
