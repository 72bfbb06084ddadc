import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { Readable } from 'node:stream';
import type { AppContext } from '../app-env.ts';

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.safetensors': 'application/octet-stream',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
};

interface ByteRange {
  readonly start: number;
  /** Last byte, included. */
  readonly end: number;
}

/**
 * Reads a Range header for a file of `size` bytes (RFC 9110, 14.2): one range, `unsatisfiable`, or
 * null where the header is absent, malformed or asks for several ranges and is to be ignored.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange | 'unsatisfiable' | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return null;
  if (match[1] === '') {
    const length = Math.min(Number(match[2]), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const start = Number(match[1]);
  const end = match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (match[2] !== '' && Number(match[2]) < start) return null;
  return start >= size ? 'unsatisfiable' : { start, end };
}

export interface ServeOptions {
  readonly cacheControl: string;
  /** Goes into the ETag; without it size and time do. */
  readonly version?: string;
}

/** Answers with a file: GET and HEAD, one range, `If-None-Match`, `If-Range`. Null where there is none. */
export async function serveFile(
  c: AppContext,
  path: string,
  { cacheControl, version }: ServeOptions,
): Promise<Response | null> {
  let size: number;
  let mtimeMs: number;
  try {
    const info = await stat(path);
    if (!info.isFile()) return null;
    ({ size, mtimeMs } = info);
  } catch {
    return null;
  }
  const etag = `"${version ?? Math.round(mtimeMs).toString(16)}-${size.toString(16)}"`;
  const headers: Record<string, string> = {
    'content-type': MEDIA_TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream',
    'cache-control': cacheControl,
    'accept-ranges': 'bytes',
    etag,
  };
  const known = c.req.header('if-none-match')?.split(',') ?? [];
  // Weak comparison (RFC 9110, 13.1.2): the compressed form has the same tag with W/ before it.
  if (known.some((tag) => [etag, '*'].includes(tag.trim().replace(/^W\//, '')))) {
    return c.body(null, 304, headers);
  }
  const ifRange = c.req.header('if-range');
  const mayRange = ifRange === undefined || ifRange === etag;
  const range = mayRange ? parseRange(c.req.header('range'), size) : null;
  if (range === 'unsatisfiable') {
    return c.body(null, 416, { ...headers, 'content-range': `bytes */${size}` });
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  headers['content-length'] = String(end - start + 1);
  if (range) headers['content-range'] = `bytes ${start}-${end}/${size}`;
  const status = range ? 206 : 200;
  if (c.req.method === 'HEAD' || size === 0) return c.body(null, status, headers);
  const stream = Readable.toWeb(createReadStream(path, { start, end }));
  return c.body(stream as ReadableStream<Uint8Array>, status, headers);
}
