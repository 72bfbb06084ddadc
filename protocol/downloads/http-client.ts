import { concatBytes } from '../bytes.ts';
import { GenerationError } from '../errors.ts';
import { pause, type StopSignal, type WebUrl, webPlatform } from '../web-platform.ts';
import { CIVITAI_ENDPOINT, isLoopbackHost } from './model-reference.ts';

/** Keys for hosts that ask who downloads; each goes to its own host alone. */
export interface AccessTokens {
  readonly hub: string | null;
  readonly civitai: string | null;
}

export const NO_TOKENS: AccessTokens = { hub: null, civitai: null };

export interface HttpRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tokens: AccessTokens;
  readonly signal: StopSignal;
}

/** An answer whose body has not been read yet. */
export interface HttpReply {
  readonly status: number;
  /** A header of the answer, or of a redirect on the way where only that had it (`x-linked-etag`). */
  header(name: string): string | null;
  /** The next bytes, null at the end; rejects when the connection breaks. */
  read(): Promise<Uint8Array | null>;
  /** Ends the connection; safe after the end. */
  cancel(): void;
}

/** One GET, redirects followed. Rejects where no answer came; `GenerationError` where none may be asked for. */
export type HttpGet = (request: HttpRequest) => Promise<HttpReply>;

/** What a request is for, as its errors speak of it. */
export interface HostContext {
  /** Root of the hub in use. */
  readonly hubEndpoint: string;
  readonly tokens: AccessTokens;
  /** The model's page, where its licence is accepted. */
  readonly page: string | null;
}

/** Something that trying again may mend. */
export class TransientError extends Error {
  /** How long the host asked to be left alone. */
  readonly waitMs: number | null;

  constructor(
    message: string,
    { waitMs = null, cause }: { waitMs?: number | null; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.waitMs = waitMs;
  }
}

/**
 * The `Authorization` header for an address, or null: a key is sent to its own host only, and never
 * over a line that others can read.
 */
export function authorizationFor(
  url: WebUrl,
  { tokens, hubEndpoint }: Pick<HostContext, 'tokens' | 'hubEndpoint'>,
): string | null {
  if (url.protocol !== 'https:' && !isLoopbackHost(url.hostname)) return null;
  const { hub, civitai } = tokens;
  if (hub !== null && url.origin === new webPlatform.URL(hubEndpoint).origin)
    return `Bearer ${hub}`;
  if (civitai !== null && url.origin === CIVITAI_ENDPOINT) return `Bearer ${civitai}`;
  return null;
}

const RETRYABLE = new Set([408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524]);
/** A host that wants to be left alone for longer is told about instead of waited for. */
const MAX_WAIT_MS = 15 * 60_000;

/** `Retry-After` in milliseconds: seconds or a date (RFC 9110, 10.2.3). */
export function retryAfterMs(value: string | null, nowMs = Date.now()): number | null {
  if (value === null) return null;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

/** Throws for every answer but 200 and 206: `TransientError`, or `GenerationError` with what to do. */
export function checkStatus(reply: HttpReply, url: string, context: HostContext): void {
  const { status } = reply;
  if (status === 200 || status === 206) return;
  reply.cancel();
  const { host } = new webPlatform.URL(url);
  if (RETRYABLE.has(status)) {
    const waitMs = retryAfterMs(reply.header('retry-after'));
    if (waitMs !== null && waitMs > MAX_WAIT_MS) {
      throw failed(
        `${host} asks to be left alone for ${Math.ceil(waitMs / 60_000)} minutes (${status}). What is here stays; go on then.`,
      );
    }
    const why = status === 429 ? 'too many requests' : 'an error of its own';
    throw new TransientError(`${host} answered ${status}, ${why}`, { waitMs });
  }
  if (status === 401 || status === 403) throw locked(reply, url, context);
  if (status === 404 || status === 410) {
    throw new GenerationError(
      'not-found',
      `${host} has no such model or file (${status}). Check the name; models are renamed and withdrawn at times.`,
    );
  }
  throw failed(`${host} answered ${status}. Check the address in a browser.`);
}

function failed(message: string): GenerationError {
  return new GenerationError('download-failed', message);
}

/** 401 and 403: where to accept the licence, and how to give a key. */
function locked(reply: HttpReply, url: string, context: HostContext): GenerationError {
  const { status } = reply;
  const { host, origin } = new webPlatform.URL(url);
  const { tokens, page, hubEndpoint } = context;
  if (origin === new webPlatform.URL(hubEndpoint).origin) {
    if (tokens.hub === null) {
      return failed(
        `${host} does not give this model to everybody (${status}). If it exists: sign in, accept its licence at ${page ?? hubEndpoint}, make an access token at ${hubEndpoint}/settings/tokens, and give it with HF_TOKEN (or --hf-token), or under Access keys on the Models page.`,
      );
    }
    return failed(
      `${host} refuses this model to the access token given (${status}). Accept the licence at ${page ?? hubEndpoint} with the token's account, and check that the token may read this repository.`,
    );
  }
  if (origin === CIVITAI_ENDPOINT) {
    return failed(
      tokens.civitai === null
        ? `Civitai wants to know who downloads this model (${status}). Make an API key in your account settings there and give it with CIVITAI_TOKEN (or --civitai-token), or under Access keys on the Models page.`
        : `Civitai refuses this model to the API key given (${status}). Open ${page ?? CIVITAI_ENDPOINT} signed in: it may be early access, or the key may have been withdrawn.`,
    );
  }
  return failed(`${host} asks for a login (${status}), and Easel has no key for it.`);
}

/** Throws for a web page in the place of a file: a login or an error page with status 200. */
export function refuseWebPage(reply: HttpReply, url: string): void {
  if (!/^\s*(text\/html|application\/xhtml)/i.test(reply.header('content-type') ?? '')) return;
  reply.cancel();
  const { host } = new webPlatform.URL(url);
  throw failed(
    `${host} answered with a web page instead of the file: the address is that of a page, or the host asks for a login. Copy the address of the file itself.`,
  );
}

export const RETRY_DELAYS_MS: readonly number[] = [1_000, 2_000, 4_000, 8_000, 16_000];

/** Runs `task` again after a `TransientError`, with longer and longer waits. */
export async function withRetries<T>(
  task: () => Promise<T>,
  { signal, delaysMs, what }: { signal: StopSignal; delaysMs: readonly number[]; what: string },
): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await task();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof TransientError)) throw error;
      const delayMs = delaysMs[failures];
      if (delayMs === undefined) throw givenUp(what, error);
      await pause(error.waitMs ?? delayMs, signal);
    }
  }
}

/** The end of trying. */
export function givenUp(what: string, error: TransientError): GenerationError {
  return new GenerationError(
    'download-failed',
    `${what} could not be fetched: ${error.message}. Check the connection and go on; what is here is kept.`,
    { cause: error },
  );
}

/** Sends a request; no answer at all is a `TransientError`. */
export async function send(get: HttpGet, request: HttpRequest): Promise<HttpReply> {
  try {
    return await get(request);
  } catch (error) {
    request.signal.throwIfAborted();
    if (error instanceof GenerationError || error instanceof TransientError) throw error;
    const { host } = new webPlatform.URL(request.url);
    throw new TransientError(`${host} did not answer`, { cause: error });
  }
}

/** Reads at most `maxBytes` of an answer, and ends the connection where more would come. */
export async function readPrefix(reply: HttpReply, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    while (length < maxBytes) {
      const bytes = await reply.read();
      if (bytes === null) break;
      const taken = bytes.subarray(0, maxBytes - length);
      parts.push(taken);
      length += taken.length;
    }
  } catch (error) {
    throw new TransientError('the connection broke', { cause: error });
  } finally {
    reply.cancel();
  }
  return concatBytes(parts);
}
