import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EMBEDDED, listing, makePng } from './fake-services.ts';
import { createServer } from './helpers.ts';

/** One request as a client sends it, and what it takes out of the reply. */
interface Exchange {
  readonly name: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Record<string, string>;
  /** JSON, or text sent as it stands; `{{png}}`, `{{jpeg}}` and `{{options}}` are filled in. */
  readonly body?: unknown;
  readonly status: number;
  /** Paths that the client reads, and what has to be there; `info.` goes into the JSON in `info`. */
  readonly reads?: Readonly<Record<string, string>>;
  /** Parts of the job's parameters that the request has to come to. */
  readonly params?: object;
  /** The reply, or parts of it. */
  readonly reply?: object;
  readonly notes?: readonly string[];
}

interface Recording {
  readonly client: string;
  readonly about: string;
  readonly exchanges: readonly Exchange[];
}

const folder = new URL('../../fixtures/clients/', import.meta.url);
const recordings = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Recording);

/** The header of a JPEG of 32 × 16 pixels. */
const JPEG = Buffer.from(
  'ffd8ffe000104a46494600010100000100010000ffc0000b080010002001011100ffd9',
  'hex',
).toString('base64');
const PNG = makePng(32, 16).toString('base64');

const CHECKS: Readonly<Record<string, (value: unknown) => void>> = {
  string: (value) => expect(value).toBeTypeOf('string'),
  number: (value) => expect(value).toBeTypeOf('number'),
  positive: (value) => expect(value).toBeGreaterThan(0),
  zero: (value) => expect(value).toBe(0),
  null: (value) => expect(value).toBeNull(),
  array: (value) => expect(Array.isArray(value)).toBe(true),
  object: (value) => expect(Object.prototype.toString.call(value)).toBe('[object Object]'),
  present: (value) => expect(value).not.toBeUndefined(),
  base64: (value) => expect(value).toMatch(/^[A-Za-z0-9+/]+={0,2}$/),
  infotext: (value) => {
    const lastLine = String(value).split('\n').at(-1) ?? '';
    expect(lastLine.match(/\w[\w /-]+: [^,]+/g)?.length).toBeGreaterThanOrEqual(3);
  },
};

function readPath(reply: unknown, path: string): unknown {
  if (path === '') return reply;
  return path.split('.').reduce<unknown>((value, key, place, keys) => {
    if (typeof value !== 'object' || value === null) return undefined;
    const next = Reflect.get(value, key);
    const isEntered = key === 'info' && place < keys.length - 1;
    return isEntered && typeof next === 'string' ? JSON.parse(next) : next;
  }, reply);
}

type Server = ReturnType<typeof createServer>;

async function encodeBody(server: Server, body: unknown): Promise<string | undefined> {
  if (body === undefined) return undefined;
  if (body === '{{options}}') {
    const options = await server.get('/sdapi/v1/options');
    return JSON.stringify({ ...options, sd_model_checkpoint: options.sd_model_checkpoint });
  }
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return text.replaceAll('{{png}}', PNG).replaceAll('{{jpeg}}', JPEG);
}

async function send(server: Server, { method, path, headers, body }: Exchange) {
  const text = await encodeBody(server, body);
  return await server.app.request(
    new Request(`http://localhost:7860${path}`, {
      method,
      headers,
      ...(text === undefined ? {} : { body: text }),
    }),
  );
}

describe.each(recordings)('$client', ({ exchanges }) => {
  const models = [EMBEDDED, listing('control_v11p_sd15_canny', { kind: 'controlnet' })];
  const server = createServer({ models });
  it.each(exchanges)('$name', async (exchange) => {
    const response = await send(server, exchange);
    const text = await response.text();
    expect(response.status, text).toBe(exchange.status);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(text).not.toContain('name:hidden');
    const reply = JSON.parse(text) as unknown;
    for (const [path, kind] of Object.entries(exchange.reads ?? {})) {
      const check = CHECKS[kind];
      expect(check, kind).toBeDefined();
      check?.(readPath(reply, path));
    }
    if (exchange.reply) expect(reply).toMatchObject(exchange.reply);
    const params = server.requests.at(-1)?.params;
    if (exchange.params) expect(params).toMatchObject(exchange.params);
    if (exchange.notes) expect(params?.notes).toEqual(exchange.notes);
  });
});

describe('the recordings', () => {
  it('cover every client of the reference', () => {
    expect(recordings.map(({ client }) => client).sort()).toEqual([
      'AI Render for Blender',
      'AIYA (Discord)',
      'Agnai',
      'Auto-Photoshop plugin',
      'KoboldAI Lite',
      'KoboldCpp: StableUI',
      'LibreChat',
      'LoLLMs',
      'Open WebUI',
      'RisuAI',
      'SDAI (Android)',
      'SillyTavern',
      'SillyTavern: DrawThings source',
      'auto-sd-paint-ext (Krita)',
      'text-generation-webui',
      'webuiapi',
    ]);
  });
});
