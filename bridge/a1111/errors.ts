import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type ErrorCode, GenerationError } from '../../protocol/errors.ts';

/** One entry of FastAPI's 422 list, as pydantic 1 writes it. */
export interface ValidationDetail {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: string;
  readonly ctx?: Readonly<Record<string, unknown>>;
}

/** An answer other than 200 with A1111's own status and wording. */
export class ApiError extends Error {
  readonly status: ContentfulStatusCode;
  readonly detail: string | readonly ValidationDetail[];

  constructor(status: ContentfulStatusCode, detail: string | readonly ValidationDetail[]) {
    super(typeof detail === 'string' ? detail : (detail[0]?.msg ?? 'invalid request'));
    this.name = 'HTTPException';
    this.status = status;
    this.detail = detail;
  }
}

/**
 * The status of each error code. A missing model or file is 422, not 404: clients take any 404 but A1111's
 * own for "the API is off". What does not fit into memory is a size too large for the device: 422 too.
 */
export const STATUS_BY_CODE = {
  'invalid-request': 422,
  'not-found': 422,
  unsupported: 422,
  'invalid-model': 500,
  'no-tab': 503,
  'tab-disconnected': 503,
  busy: 503,
  'webgpu-unavailable': 503,
  'out-of-memory': 422,
  'device-lost': 503,
  'download-failed': 502,
  'storage-full': 507,
  cancelled: 409,
  internal: 500,
} as const satisfies Record<ErrorCode, ContentfulStatusCode>;

/** Seconds after which another try makes sense; only codes that pass by themselves have one. */
const RETRY_AFTER_SECONDS: Partial<Record<ErrorCode, number>> = {
  'no-tab': 10,
  'tab-disconnected': 5,
  busy: 5,
  'webgpu-unavailable': 120,
  'device-lost': 120,
};

/** A1111's error body, with `message` for the clients that look for that key. */
export interface ErrorBody {
  readonly error: string;
  readonly detail: string;
  readonly body: string;
  readonly errors: string;
  readonly message: string;
}

/** The body of an error that is no 422 list. `detail` always holds the sentence: clients show that key. */
export function errorBody(status: number, message: string): ErrorBody {
  const isOurs = status >= 500;
  return {
    error: isOurs ? 'GenerationError' : 'HTTPException',
    detail: message,
    body: '',
    errors: isOurs ? message : '',
    message,
  };
}

/** What an error becomes on the wire: status, body and headers. */
export interface ErrorReply {
  readonly status: ContentfulStatusCode;
  readonly body:
    | ErrorBody
    | { readonly detail: readonly ValidationDetail[]; readonly message: string };
  readonly headers: Readonly<Record<string, string>>;
}

/** A list's entries in one line, each with its field: `width: ensure this value is …`. */
function listMessage(details: readonly ValidationDetail[]): string {
  const lines = details.map(({ loc, msg }) => {
    const field = loc.filter((part) => part !== 'body').join('.');
    return field === '' ? msg : `${field}: ${msg}`;
  });
  return lines.join('; ').slice(0, 1000);
}

/** Turns anything thrown into a reply; `undefined` for what nobody foresaw. */
export function errorReply(error: unknown): ErrorReply | undefined {
  if (error instanceof ApiError) {
    const { status, detail } = error;
    const body =
      typeof detail === 'string'
        ? errorBody(status, detail)
        : { detail, message: listMessage(detail) };
    return { status, body, headers: {} };
  }
  if (error instanceof GenerationError) {
    const status = STATUS_BY_CODE[error.code];
    const seconds = RETRY_AFTER_SECONDS[error.code];
    return {
      status,
      body: errorBody(status, error.message),
      headers: seconds === undefined ? {} : { 'retry-after': String(seconds) },
    };
  }
  if (error instanceof HTTPException) {
    const status = error.status as ContentfulStatusCode;
    return { status, body: errorBody(status, error.message || `HTTP ${status}`), headers: {} };
  }
  return undefined;
}

/** Hono's error handler for A1111's routes: never a stack trace, always JSON. `log` hears what nobody foresaw. */
export function handleErrors(log: (message: string) => void = console.error) {
  return function onError(error: Error, c: Context): Response {
    const reply = errorReply(error);
    if (reply) return c.json(reply.body, reply.status, reply.headers);
    log(`${c.req.method} ${c.req.path} failed: ${error.stack ?? error.message}`);
    const message = 'The bridge failed on this request. Its log says why; please report it.';
    return c.json(errorBody(500, message), 500);
  };
}

/** FastAPI's answer to a path that does not exist: `detail` alone. */
export function notFound(c: Context): Response {
  return c.json({ detail: 'Not Found' }, 404);
}
