import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OPERATIONS } from '../../../bridge/a1111/operations.ts';
import { OPTIONS } from '../../../bridge/a1111/option-table.ts';
import {
  extrasSingleImageRequest,
  img2imgRequest,
  txt2imgRequest,
} from '../../../bridge/a1111/schemas.ts';
import { SCRIPTS } from '../../../bridge/a1111/scripts/script-list.ts';
import { makePng, pngChunk } from './fake-services.ts';
import { createServer } from './helpers.ts';

const PNG = makePng(8, 8, [pngChunk('tEXt', Buffer.from('parameters\0x'))]);

const number = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -1, 1, 1e308, -1e308, 2 ** 53, 4096, 64, 0.5),
);
const word = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('', ' ', '-1', '20', '1e400', 'NaN', 'null', 'true', 'Euler a', 'easel-tiny'),
  fc.constantFrom(
    PNG.toString('base64'),
    'data:image/png;base64,',
    'http://127.0.0.1/',
    '__proto__',
    'constructor',
  ),
);
const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    number,
    word,
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(word, tie('any'), { maxKeys: 4 }),
  ),
})).any;

/** A cut or altered PNG, JPEG or WebP, as base64. */
const brokenImage = fc
  .tuple(
    fc.constantFrom(
      PNG,
      Buffer.from('ffd8ffe000104a46494600010100000100010000ffc0000b080010002001011100ffd9', 'hex'),
      Buffer.from('524946462400000057454250565038580a00000010000000ff0f00ff0f00', 'hex'),
    ),
    fc.nat(80),
    fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
  )
  .map(([bytes, length, edits]) => {
    const copy = Buffer.from(bytes.subarray(0, Math.max(1, bytes.length - length)));
    for (const [at, byte] of edits) if (at < copy.length) copy[at] = byte;
    return copy.toString('base64');
  });

function bodyOf(keys: readonly string[]): fc.Arbitrary<unknown> {
  const field = fc.tuple(fc.constantFrom(...keys), fc.oneof(value, value, brokenImage));
  const object = fc.array(field, { maxLength: 8 }).map((entries) => Object.fromEntries(entries));
  return fc.oneof({ weight: 9, arbitrary: object }, { weight: 1, arbitrary: value });
}

const optionKeys = OPTIONS.map(({ key }) => key);

const BODIES: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  '/sdapi/v1/txt2img': bodyOf(Object.keys(txt2imgRequest.shape)),
  '/sdapi/v1/img2img': fc
    .tuple(bodyOf(Object.keys(img2imgRequest.shape)), fc.oneof(brokenImage, value))
    .map(([body, image]) =>
      typeof body === 'object' && body !== null ? { init_images: [image], ...body } : body,
    ),
  '/sdapi/v1/options': bodyOf(optionKeys),
  '/sdapi/v1/png-info': fc.record({ image: fc.oneof(brokenImage, brokenImage, value) }),
  '/sdapi/v1/extra-single-image': fc
    .tuple(bodyOf(Object.keys(extrasSingleImageRequest.shape)), brokenImage)
    .map(([body, image]) =>
      typeof body === 'object' && body !== null ? { image, ...body } : body,
    ),
};

/** Bodies that are hardly JSON. */
const rawBody = fc.oneof(
  value.map((entry) => JSON.stringify(entry) ?? 'undefined'),
  fc.string({ unit: 'binary' }),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
);

const POSTS = OPERATIONS.filter(({ method }) => method === 'POST').map(({ path }) => path);
const DOCUMENTED_5XX = [501, 503];

const server = createServer();

async function expectSound(path: string, body: string) {
  const response = await server.post(path, body);
  const text = await response.text();
  const isServerFault = response.status >= 500 && !DOCUMENTED_5XX.includes(response.status);
  expect(isServerFault, `${path} ${response.status} ${text}\n${body}`).toBe(false);
  expect(text).not.toMatch(/\n\s+at /);
  if (response.status !== 200) expect(JSON.parse(text).detail, text).toBeTruthy();
  if (response.status === 200 && /2img$/.test(path)) JSON.parse(JSON.parse(text).info);
}

/** Axis values, well formed and nearly so. */
const AXIS_TEXTS = [
  '1-3',
  '1-9 (+4)',
  '5-1 (-2)',
  '0-1 [3]',
  '1-2 (+0)',
  '1,,2',
  '"a',
  'cat, dog',
  '64x64,128x',
  '1e3',
  '-',
];
const RAMP = makePng(64, 64).toString('base64');

describe('fuzz', () => {
  it.each(Object.entries(BODIES))('%s: no 5xx, always JSON', async (path, bodies) => {
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        await expectSound(path, JSON.stringify(body) ?? '');
      }),
      { numRuns: 1500 },
    );
  });

  it('override_settings and always-on scripts of any kind', async () => {
    const request = fc.record({
      override_settings: fc.dictionary(fc.oneof(fc.constantFrom(...optionKeys), word), value),
      alwayson_scripts: fc.dictionary(word, value),
    });
    await fc.assert(
      fc.asyncProperty(request, (body) => expectSound('/sdapi/v1/txt2img', JSON.stringify(body))),
      { numRuns: 500 },
    );
  });

  it.each(SCRIPTS.map(({ name, routes }) => [name, routes] as const))(
    'the script %s with arguments of any kind',
    async (script_name, routes) => {
      const argument = fc.oneof(
        value,
        fc.integer({ min: -1, max: 50 }),
        fc.constantFrom(...AXIS_TEXTS),
        fc.array(fc.constantFrom('Euler a', 'Karras', 'easel-tiny', 'left', 'up'), {
          maxLength: 3,
        }),
      );
      const request = fc.record({
        script_args: fc.array(argument, { maxLength: 20 }),
        prompt: fc.oneof(word, fc.constantFrom('a|b|c', '|', 'cat')),
        init_images: fc.constant([RAMP]),
      });
      const routed = fc.tuple(fc.constantFrom(...routes), request);
      await fc.assert(
        fc.asyncProperty(routed, ([route, body]) =>
          expectSound(`/sdapi/v1/${route}`, JSON.stringify({ ...body, script_name })),
        ),
        { numRuns: 300 },
      );
    },
  );

  it('bodies that are no JSON, on every route', async () => {
    await fc.assert(fc.asyncProperty(fc.constantFrom(...POSTS), rawBody, expectSound), {
      numRuns: 1500,
    });
  });
});
