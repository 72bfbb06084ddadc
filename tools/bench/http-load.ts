import { connect, type Socket } from 'node:net';

/** What a load came to. */
export interface LoadResult {
  /** Milliseconds from a request to the end of its reply. */
  readonly latencies: readonly number[];
  readonly seconds: number;
}

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  /** The paths that are asked for, in turn. */
  readonly paths: readonly string[];
  readonly seconds: number;
  /** Milliseconds between two requests of one connection; 0 asks as soon as the reply is there. */
  readonly everyMs: number;
}

const HEAD_END = '\r\n\r\n';

/** Length of the whole reply at the start of `bytes`, or null while it is not all there. */
function replyLength(bytes: Buffer): number | null {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return null;
  const head = bytes.toString('latin1', 0, end);
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(`the server answered ${head.slice(0, 40)}`);
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  const total = end + HEAD_END.length + Number(length ?? Number.NaN);
  if (Number.isNaN(total)) {
    const last = bytes.indexOf('\r\n0\r\n\r\n', end);
    return last < 0 ? null : last + 7;
  }
  return bytes.length >= total ? total : null;
}

/** One connection that asks again and again, with as little of its own work as can be. */
async function runConnection(
  socket: Socket,
  { paths, everyMs, port }: LoadOptions,
  place: number,
  until: number,
  latencies: number[],
): Promise<void> {
  let pending = Buffer.alloc(0);
  let onReply: () => void = () => {};
  socket.on('data', (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    const length = replyLength(pending);
    if (length === null) return;
    pending = pending.subarray(length);
    onReply();
  });
  for (let turn = place; performance.now() < until; turn++) {
    const path = paths[turn % paths.length];
    const startedAt = performance.now();
    const replied = new Promise<void>((resolve, reject) => {
      onReply = resolve;
      socket.once('error', reject);
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`);
    await replied;
    socket.removeAllListeners('error');
    const tookMs = performance.now() - startedAt;
    latencies.push(tookMs);
    const restMs = everyMs - tookMs;
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
  }
  socket.destroy();
}

/** Asks a server over many connections that are kept open. */
export async function httpLoad(options: LoadOptions): Promise<LoadResult> {
  const { connections, port, seconds, everyMs } = options;
  const sockets = await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise<Socket>((resolve, reject) => {
          const socket = connect(port, '127.0.0.1', () => resolve(socket));
          socket.setNoDelay(true);
          socket.once('error', reject);
        }),
    ),
  );
  const latencies: number[] = [];
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  await Promise.all(
    sockets.map(async (socket, place) => {
      socket.removeAllListeners('error');
      // Connections do not all ask in the same moment.
      await new Promise((resolve) => setTimeout(resolve, (place * everyMs) / connections));
      await runConnection(socket, options, place, until, latencies);
    }),
  );
  return { latencies, seconds: (performance.now() - startedAt) / 1000 };
}
