import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { AppContext } from '../app-env.ts';

const brotli = promisify(brotliCompress);
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };

/** In the order of preference; browsers take Brotli from this machine and over TLS alone. */
const ENCODINGS = {
  br: (bytes: Buffer) => brotli(bytes, BROTLI),
  gzip: promisify<Buffer, Buffer>(gzip),
} as const;
type Encoding = keyof typeof ENCODINGS;

/** Text compresses well; everything else of the page is small or compressed already. */
const TEXT = new Set(['.css', '.html', '.js', '.json', '.mjs', '.svg', '.webmanifest']);
/** Below, the headers cost more than is saved. */
const MIN_BYTES = 1_000;

/** The best encoding that a client takes, or null. */
function encodingFor(c: AppContext): Encoding | null {
  const entries = (c.req.header('accept-encoding') ?? '').toLowerCase().split(',');
  const taken = entries.flatMap((entry) => {
    const [name = '', quality = ''] = entry.split(';');
    return /^\s*q\s*=\s*0(?:\.0*)?\s*$/.test(quality) ? [] : [name.trim()];
  });
  return (['br', 'gzip'] as const).find((encoding) => taken.includes(encoding)) ?? null;
}

/**
 * Compresses the page's own texts with Brotli or gzip for clients that take it, each file once. What is asked for in ranges or
 * by HEAD, is not found or is no text goes out as it is.
 */
export function createTextCompression(): (
  c: AppContext,
  path: string,
  response: Response,
) => Promise<Response> {
  const known = new Map<string, { etag: string; bytes: Promise<Buffer> }>();

  return async (c, path, response) => {
    if (!TEXT.has(extname(path).toLowerCase())) return response;
    response.headers.append('vary', 'accept-encoding');
    const isWhole = response.status === 200 && c.req.method === 'GET';
    const size = Number(response.headers.get('content-length'));
    const encoding = encodingFor(c);
    if (!isWhole || size < MIN_BYTES || !encoding) return response;
    const etag = response.headers.get('etag') ?? '';
    const key = `${encoding} ${path}`;
    let entry = known.get(key);
    if (!entry || entry.etag !== etag) {
      entry = { etag, bytes: readFile(path).then(ENCODINGS[encoding]) };
      known.set(key, entry);
    }
    const bytes = new Uint8Array(await entry.bytes);
    await response.body?.cancel();
    const headers = new Headers(response.headers);
    headers.set('content-encoding', encoding);
    headers.set('content-length', String(bytes.length));
    // Ranges are of the file as it is.
    headers.delete('accept-ranges');
    headers.set('etag', `W/${etag}`);
    return new Response(bytes, { status: 200, headers });
  };
}
