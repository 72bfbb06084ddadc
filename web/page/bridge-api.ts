import { z } from 'zod';
import { type ErrorCode, GenerationError, serializedError } from '../../protocol/errors.ts';
import {
  generationSummary,
  jobFailed,
  jobFinished,
  jobImage,
  jobPreview,
  jobProgress,
} from '../../protocol/job.ts';

/** What the bridge's event stream says; a picture is named by its address. */
const bridgeEvent = z.discriminatedUnion('type', [
  jobProgress,
  jobPreview,
  jobImage.omit({ data: true }).extend({ url: z.string() }),
  jobFinished,
  jobFailed,
]);
export type BridgeEvent = z.infer<typeof bridgeEvent>;

const openJob = z.object({
  id: z.string(),
  client: z.string(),
  key: z.string().nullable(),
  state: z.enum(['waiting', 'running', 'finished', 'failed']),
  error: serializedError.nullable(),
});

/** `GET /easel/v1/jobs`: waiting and running jobs, oldest first. */
export const openJobs = z.object({ jobs: z.array(openJob) });

/** `GET /easel/v1/jobs/ID` without the pictures, which have addresses of their own. */
export const jobRecord = openJob.extend({
  seeds: z.array(z.number()),
  infotexts: z.array(z.string()),
  summary: generationSummary.nullable(),
});
export type JobRecord = z.infer<typeof jobRecord>;

/** The bridge's HTTP side as the page uses it. Every failure is a `GenerationError`. */
export interface BridgeApi {
  /** The full address of a path below the page. */
  address(path: string): string;
  get<T>(path: string, schema: z.ZodType<T>, options?: RequestOptions): Promise<T>;
  post(path: string, body: unknown, options?: RequestOptions): Promise<void>;
  /** A POST whose reply is read. */
  send<T>(path: string, body: unknown, schema: z.ZodType<T>, options?: RequestOptions): Promise<T>;
  bytes(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Follows all jobs until the returned function is called; reconnects by itself. */
  events(onEvent: (event: BridgeEvent) => void): () => void;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses that carry a body worth reading though they are errors (`/health` says 503). */
  readonly accepts?: readonly number[];
}

/** The part of `EventSource` that is used. */
export interface EventSourceLike {
  addEventListener(type: string, listener: (event: { data: string }) => void): void;
  close(): void;
}

const EVENT_TYPES = ['job-progress', 'job-preview', 'job-image', 'job-finished', 'job-failed'];

const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: 'unsupported',
  403: 'unsupported',
  409: 'cancelled',
  422: 'invalid-request',
  502: 'download-failed',
  503: 'no-tab',
  507: 'storage-full',
};

const errorReply = z.object({
  detail: z.union([z.string(), z.array(z.object({ msg: z.string() }))]),
});

async function toError(reply: Response): Promise<GenerationError> {
  const code = CODE_BY_STATUS[reply.status] ?? 'internal';
  const parsed = errorReply.safeParse(await reply.json().catch(() => null));
  if (!parsed.success) return new GenerationError(code, `The bridge answered ${reply.status}.`);
  const { detail } = parsed.data;
  const message = typeof detail === 'string' ? detail : detail.map(({ msg }) => msg).join(' ');
  return new GenerationError(code, message);
}

function parseEvent(data: string): BridgeEvent | null {
  try {
    return bridgeEvent.parse(JSON.parse(data));
  } catch {
    // A bridge of another version says things that this page does not know.
    return null;
  }
}

export interface BridgeApiOptions {
  readonly fetchImpl?: typeof fetch;
  readonly openEvents?: (address: string) => EventSourceLike;
}

export function createBridgeApi(
  baseUrl: string,
  {
    fetchImpl = (input, init) => fetch(input, init),
    openEvents = (address) => new EventSource(address),
  }: BridgeApiOptions = {},
): BridgeApi {
  const address = (path: string) => new URL(path.replace(/^\//, ''), baseUrl).href;

  async function request(path: string, init: RequestInit, accepts: readonly number[] = []) {
    let reply: Response;
    try {
      reply = await fetchImpl(address(path), { credentials: 'same-origin', ...init });
    } catch (cause) {
      if (init.signal?.aborted) throw cause;
      throw new GenerationError('tab-disconnected', 'The bridge does not answer.', { cause });
    }
    if (!reply.ok && !accepts.includes(reply.status)) throw await toError(reply);
    return reply;
  }

  async function read<T>(reply: Response, path: string, schema: z.ZodType<T>): Promise<T> {
    const parsed = schema.safeParse(await reply.json().catch(() => null));
    if (parsed.success) return parsed.data;
    throw new GenerationError('internal', `The bridge's reply to ${path} is not understood.`);
  }

  function send(path: string, body: unknown, { signal, headers = {} }: RequestOptions = {}) {
    return request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
      ...(signal ? { signal } : {}),
    });
  }

  return {
    address,
    async get(path, schema, { signal, headers = {}, accepts = [] } = {}) {
      const init = { headers, cache: 'no-store' as const, ...(signal ? { signal } : {}) };
      return await read(await request(path, init, accepts), path, schema);
    },
    async post(path, body, options) {
      await send(path, body, options);
    },
    async send(path, body, schema, options) {
      return await read(await send(path, body, options), path, schema);
    },
    async bytes(path) {
      return new Uint8Array(await (await request(path, {})).arrayBuffer());
    },
    events(onEvent) {
      const source = openEvents(address('easel/v1/events'));
      for (const type of EVENT_TYPES) {
        source.addEventListener(type, ({ data }) => {
          const event = parseEvent(data);
          if (event) onEvent(event);
        });
      }
      return () => source.close();
    },
  };
}
