import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import type { AppContext } from '../app-env.ts';

const compress = promisify(brotliCompress);

/** Text compresses well; everything else of the page is small or compressed already. */
const TEXT = new Set(['.css', '.html', '.js', '.json', '.mjs', '.svg', '.webmanifest']);
/** Below, the headers cost more than is saved. */
const MIN_BYTES = 1_000;

function takesBrotli(c: AppContext): boolean {
  const accepted = c.req.header('accept-encoding') ?? '';
  return accepted
    .split(',')
    .some((entry) => /^\s*br\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/.test(entry));
}

/**
 * Compresses the page's own texts with Brotli for clients that take it, each file once. What is asked for in ranges or
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
    if (!isWhole || size < MIN_BYTES || !takesBrotli(c)) return response;
    const etag = response.headers.get('etag') ?? '';
    let entry = known.get(path);
    if (!entry || entry.etag !== etag) {
      const params = { [constants.BROTLI_PARAM_QUALITY]: 9 };
      entry = { etag, bytes: readFile(path).then((bytes) => compress(bytes, { params })) };
      known.set(path, entry);
    }
    const bytes = new Uint8Array(await entry.bytes);
    await response.body?.cancel();
    const headers = new Headers(response.headers);
    headers.set('content-encoding', 'br');
    headers.set('content-length', String(bytes.length));
    // Ranges are of the file as it is.
    headers.delete('accept-ranges');
    headers.set('etag', `W/${etag}`);
    return new Response(bytes, { status: 200, headers });
  };
}
