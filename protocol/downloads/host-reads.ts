import type { z } from 'zod';
import { GenerationError } from '../errors.ts';
import { webPlatform } from '../web-platform.ts';
import { type HeaderFacts, headerEnd, kindOfTensors, readHeader } from './file-kind.ts';
import {
  checkStatus,
  type HostContext,
  type HttpReply,
  RETRY_DELAYS_MS,
  readPrefix,
  refuseWebPage,
  send,
  withRetries,
} from './http-client.ts';
import { type PlannedFile, type PlanOptions, unknownKind } from './plan-parts.ts';

const MAX_JSON_BYTES = 16 * 2 ** 20;
/** Headers of checkpoints take some hundred kilobytes. */
const PROBE_BYTES = 2 ** 20;

/** What a file's header makes it. Rejects with `unsupported` for what is not known. */
export async function probeKind(file: PlannedFile, page: string, options: PlanOptions) {
  const { header } = await probe(file, page, options);
  const kind = kindOfTensors(header.tensors);
  if (kind) return kind;
  throw unknownKind(file.path);
}

interface Probe {
  readonly sizeBytes: number;
  readonly header: HeaderFacts;
  /** The name that the host gives the file, or null. */
  readonly fileName: string | null;
  readonly sha256: string | null;
}

/** Reads the header of a safetensors file and no more: what it is, how large it is. */
export async function probe(
  { url, path, sizeBytes }: PlannedFile,
  page: string | null,
  options: PlanOptions,
): Promise<Probe> {
  const facts = {
    fileName: null as string | null,
    sha256: null as string | null,
    total: sizeBytes,
  };
  const read = async (bytes: number) => {
    const reply = await open(url, page, options, { range: `bytes=0-${bytes - 1}` });
    refuseWebPage(reply, url);
    facts.fileName ??= dispositionName(reply.header('content-disposition'));
    facts.sha256 ??= linkedSha256(reply);
    facts.total = totalBytes(reply) ?? facts.total;
    return readPrefix(reply, bytes);
  };
  const retry = { signal: options.signal, delaysMs: delays(options), what: path };
  const start = await withRetries(() => read(PROBE_BYTES), retry);
  const end = headerEnd(path, start);
  const bytes = end <= start.length ? start : await withRetries(() => read(end), retry);
  const header = readHeader(path, bytes);
  const { total } = facts;
  if (total !== null && total !== header.fileBytes) {
    throw new GenerationError(
      'invalid-model',
      `${path} has ${total} bytes at the host, but its own header speaks of ${header.fileBytes}: the file there is damaged or cut short.`,
    );
  }
  return { header, sizeBytes: header.fileBytes, fileName: facts.fileName, sha256: facts.sha256 };
}

/** The whole file's size as an answer to a range tells it, or null. */
export function totalBytes(reply: HttpReply): number | null {
  const total = /\/(\d{1,15})$/.exec(reply.header('content-range') ?? '')?.[1];
  if (total !== undefined) return Number(total);
  const length = reply.header('content-length');
  const isWhole = reply.status === 200 && reply.header('content-encoding') === null;
  return isWhole && length !== null && /^\d{1,15}$/.test(length) ? Number(length) : null;
}

/** The hub names a large file's SHA-256 in a header of its redirect. */
function linkedSha256(reply: HttpReply): string | null {
  const tag =
    reply
      .header('x-linked-etag')
      ?.replace(/^W\/|"/g, '')
      .toLowerCase() ?? '';
  return /^[0-9a-f]{64}$/.test(tag) ? tag : null;
}

function dispositionName(value: string | null): string | null {
  if (value === null) return null;
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(value)?.[1];
  try {
    if (extended !== undefined) return decodeURIComponent(extended);
  } catch {
    // The plain form follows.
  }
  return /filename="?([^";]+)"?/i.exec(value)?.[1] ?? null;
}

function delays({ retryDelaysMs = RETRY_DELAYS_MS }: PlanOptions): readonly number[] {
  return retryDelaysMs;
}

async function open(
  url: string,
  page: string | null,
  options: PlanOptions,
  headers: Readonly<Record<string, string>>,
): Promise<HttpReply> {
  const { get, tokens, signal, hubEndpoint } = options;
  const reply = await send(get, { url, headers, tokens, signal });
  const context: HostContext = { hubEndpoint, tokens, page };
  checkStatus(reply, url, context);
  return reply;
}

export interface JsonReply<T> {
  readonly value: T;
  /** Address of the list's next page, or null. */
  readonly link: string | null;
}

/** Reads a JSON answer, checked against a schema. Rejects with `GenerationError`. */
export async function readJson<T>(
  url: string,
  schema: z.ZodType<T>,
  page: string | null,
  options: PlanOptions,
): Promise<JsonReply<T>> {
  const { host } = new webPlatform.URL(url);
  const read = async () => {
    const reply = await open(url, page, options, { accept: 'application/json' });
    refuseWebPage(reply, url);
    const link = /<([^>]+)>;\s*rel="next"/.exec(reply.header('link') ?? '')?.[1] ?? null;
    return { bytes: await readPrefix(reply, MAX_JSON_BYTES), link };
  };
  const { bytes, link } = await withRetries(read, {
    ...{ signal: options.signal, delaysMs: delays(options), what: `The list of files at ${host}` },
  });
  let body: unknown;
  try {
    body = JSON.parse(new webPlatform.TextDecoder('utf-8').decode(bytes));
  } catch {
    body = null;
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return { value: parsed.data, link };
  throw new GenerationError(
    'download-failed',
    `${host} answered with something else than the list of files that was asked for. Try again later.`,
  );
}
