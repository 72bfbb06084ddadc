import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** How a host misbehaves with one file. */
export interface Manners {
  /** Cuts each connection after so many bytes. */
  readonly cutAfter?: number;
  /** Cuts only the first so many connections. */
  readonly cuts?: number;
  readonly ignoresRange?: boolean;
  /** Bytes a second. */
  readonly speed?: number;
  /** Stops sending after so many bytes, and keeps the connection. */
  readonly stallAfter?: number;
  /** Answers with this instead, the first `times` times. */
  readonly answer?: {
    status: number;
    headers?: Record<string, string>;
    body?: string;
    times?: number;
  };
  readonly redirectTo?: string;
  /** Headers of the redirect or of the file. */
  readonly headers?: Record<string, string>;
  /** Called before each answer, with the number of requests for the file so far. */
  readonly onRequest?: (count: number) => void;
}

export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Bytes of the body that were handed to the connection. */
  sentBytes: number;
}

export interface BadHost {
  readonly url: string;
  readonly host: string;
  readonly seen: SeenRequest[];
  /** Serves a file, with what is wrong about it. */
  file(path: string, bytes: Uint8Array, manners?: Manners): void;
  /** Serves a hub repository: its tree, and its files under `resolve/`. */
  repository(repo: string, files: Readonly<Record<string, Uint8Array>>, manners?: Manners): void;
  /** All bytes sent of the files whose path ends so. */
  sent(ending: string): number;
  close(): Promise<void>;
}

export const HUB_COMMIT = 'c'.repeat(40);

export interface BadHostOptions {
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  /** Sent with every answer: CORS, as the hub does it. */
  readonly headers?: Readonly<Record<string, string>>;
}

const PIECE = 64 * 1024;

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A host on loopback that answers ranges like a good one, except for what it is told to do badly. */
export async function openBadHost({ tls, headers = {} }: BadHostOptions = {}): Promise<BadHost> {
  const files = new Map<string, { bytes: Uint8Array; manners: Manners; count: number }>();
  const texts = new Map<string, string>();
  const seen: SeenRequest[] = [];
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const { pathname } = new URL(request.url ?? '/', 'http://host');
    const path = decodeURIComponent(pathname);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    const record: SeenRequest = { path, headers: request.headers, sentBytes: 0 };
    seen.push(record);
    const text = texts.get(path);
    if (text !== undefined) {
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(text);
    }
    const file = files.get(path);
    if (!file) return void response.writeHead(404).end('nothing here');
    file.count += 1;
    file.manners.onRequest?.(file.count);
    void serve(file, record, request, response).catch(() => response.destroy());
  };
  const server = tls ? createTlsServer(tls, handle) : createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const host = `127.0.0.1:${port}`;
  const bad: BadHost = {
    url: `${tls ? 'https' : 'http'}://${host}`,
    host,
    seen,
    file(path, bytes, manners = {}) {
      files.set(path, { bytes, manners, count: files.get(path)?.count ?? 0 });
    },
    repository(repo, contents, manners = {}) {
      texts.set(`/api/models/${repo}/revision/main`, JSON.stringify({ sha: HUB_COMMIT }));
      const tree = Object.entries(contents).map(([path, bytes]) => ({
        ...{ type: 'file', path, size: bytes.length, oid: 'a'.repeat(40) },
        ...(path.endsWith('.safetensors')
          ? { lfs: { oid: sha256Of(bytes), size: bytes.length, pointerSize: 134 } }
          : {}),
      }));
      texts.set(`/api/models/${repo}/tree/${HUB_COMMIT}`, JSON.stringify(tree));
      for (const [path, bytes] of Object.entries(contents)) {
        bad.file(`/${repo}/resolve/${HUB_COMMIT}/${path}`, bytes, manners);
      }
    },
    sent: (ending) =>
      seen
        .filter(({ path }) => path.endsWith(ending))
        .reduce((sum, { sentBytes }) => sum + sentBytes, 0),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return bad;
}

async function serve(
  file: { bytes: Uint8Array; manners: Manners; count: number },
  record: SeenRequest,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { manners, count, bytes } = file;
  const {
    answer,
    redirectTo,
    cutAfter,
    cuts = Number.POSITIVE_INFINITY,
    stallAfter,
    speed,
  } = manners;
  if (answer && count <= (answer.times ?? Number.POSITIVE_INFINITY)) {
    return void response.writeHead(answer.status, answer.headers).end(answer.body ?? '');
  }
  if (redirectTo !== undefined) {
    return void response.writeHead(302, { location: redirectTo, ...manners.headers }).end();
  }
  const etag = `"${sha256Of(bytes).slice(0, 20)}"`;
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const ifRange = request.headers['if-range'];
  const isRange = range !== null && !manners.ignoresRange && (ifRange ?? etag) === etag;
  const start = isRange ? Number(range[1]) : 0;
  const end =
    isRange && range[2] !== '' ? Math.min(Number(range[2]), bytes.length - 1) : bytes.length - 1;
  if (isRange && start >= bytes.length) {
    return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  }
  response.writeHead(isRange ? 206 : 200, {
    'content-type': 'application/octet-stream',
    'content-length': end - start + 1,
    etag,
    ...(manners.ignoresRange ? {} : { 'accept-ranges': 'bytes' }),
    ...(isRange ? { 'content-range': `bytes ${start}-${end}/${bytes.length}` } : {}),
    ...manners.headers,
  });
  const limit = cutAfter !== undefined && count <= cuts ? cutAfter : Number.POSITIVE_INFINITY;
  const pieceBytes =
    speed === undefined ? PIECE : Math.max(1, Math.min(PIECE, Math.floor(speed / 20)));
  for (let at = start; at <= end && !response.destroyed; ) {
    const sent = at - start;
    if (sent >= limit) return void response.destroy();
    if (stallAfter !== undefined && sent >= stallAfter) return;
    const most = Math.min(pieceBytes, limit - sent, (stallAfter ?? limit) - sent);
    const piece = bytes.subarray(at, Math.min(at + most, end + 1));
    await new Promise<void>((resolve) => response.write(piece, () => resolve()));
    record.sentBytes += piece.length;
    at += piece.length;
    if (speed !== undefined)
      await new Promise((resolve) => setTimeout(resolve, (1000 * piece.length) / speed));
  }
  response.end();
}

/** A safetensors file whose tensors have these names, with `dataBytes` of noise that no host can compress. */
export function safetensorsFile(names: readonly string[], dataBytes: number, seed = 1): Buffer {
  const each = Math.floor(dataBytes / names.length);
  const header = Object.fromEntries(
    names.map((name, index) => [
      name,
      { dtype: 'U8', shape: [each], data_offsets: [index * each, (index + 1) * each] },
    ]),
  );
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const data = Buffer.alloc(each * names.length);
  let state = seed;
  for (let i = 0; i + 4 <= data.length; i += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data.writeUInt32LE(state, i);
  }
  return Buffer.concat([length, text, data]);
}

export const LORA_TENSORS = ['lora_unet_mid.lora_up.weight', 'lora_unet_mid.lora_down.weight'];
export const CHECKPOINT_TENSORS = ['model.diffusion_model.out.weight', 'first_stage_model.x'];
