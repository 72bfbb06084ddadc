import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { ModelListing } from '../../protocol/catalog.ts';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { createMemoryStore, type KeyValueStore } from '../../web/engine/models/key-value-store.ts';
import { createLocalSources } from '../../web/engine/models/local-sources.ts';
import type { ModelSources } from '../../web/engine/models/sources.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import type { EngineConfig } from '../../web/shared/worker-protocol.ts';
import { onnxFolder } from '../compiler/lib/onnx-folder.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { fileSource } from '../fakes/file-source.ts';

/** The whole engine with a folder of ready-made graphs. */

const MODELS = fileURLToPath(new URL('../fixtures/models/', import.meta.url));
const PARAMS: GenerationParams = {
  ...{
    ...GENERATION_DEFAULTS,
    prompt: 'a (red:1.3) cat',
    width: 64,
    height: 64,
    steps: 3,
    seed: 7,
  },
};

let folder = '';
beforeAll(async () => {
  folder = join(mkdtempSync(join(tmpdir(), 'easel-onnx-')), 'ready-made');
  for (const [path, bytes] of await onnxFolder('sd15-tiny', { dataFiles: 2 })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
  }
});
afterAll(() => rmSync(dirname(folder), { recursive: true, force: true }));

const engines: LocalEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

/** What lies beside the checkpoint: a LoRA and a VAE of the fixtures. */
const BESIDE = { lora: 'loras/sd15-kohya.safetensors', vae: 'vae-tiny.safetensors' } as const;

function start(
  options: { path?: string; config?: Partial<EngineConfig>; entries?: KeyValueStore } = {},
) {
  const { path = folder, config = {}, entries = createMemoryStore() } = options;
  const access = nodeAccess({ folder: path, entries });
  const base = access.sources;
  const others = Object.entries(BESIDE).map(([kind, file]): ModelListing => {
    const name = file.split('/').at(-1)!.replace('.safetensors', '');
    const { sizeBytes } = fileSource(join(MODELS, file), file);
    return {
      ...{ kind: kind as 'lora' | 'vae', name, source: 'bridge', filename: file, url: `${kind}/` },
      ...{ files: [{ path: `${name}.safetensors`, sizeBytes }], version: 'v1' },
    };
  });
  const listings = [...base.listings, ...others];
  const sources: ModelSources = {
    listings,
    refresh: async () => listings,
    find: (name) => base.find(name),
    open(listing) {
      if (listing.kind === 'checkpoint') return base.open(listing);
      const file = BESIDE[listing.kind as 'lora' | 'vae'];
      return {
        name: listing.name,
        files: [fileSource(join(MODELS, file), `${listing.name}.safetensors`)],
      };
    },
  };
  const engine = createLocalEngine(
    { ...ENGINE_CONFIG, precision: 'fp32', ...config },
    { ...access, sources: createLocalSources(sources, async () => createMemoryStore()) },
  );
  engines.push(engine);
  return {
    access,
    engine,
    async generate(params: Partial<GenerationParams> = {}) {
      const images: GeneratedImage[] = [];
      const before = access.pictures.length;
      const summary = await engine.generate(
        { ...PARAMS, ...params },
        { onImage: (image) => void images.push(image) },
      );
      return { summary, infotext: images[0]!.infotext, pixels: access.pictures[before]!.data };
    },
  };
}

function off(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
}

test('makes the picture of its weights, and is read but once', async () => {
  const entries = createMemoryStore();
  const ready = await start({ entries }).generate();
  const own = await start({ path: `${MODELS}sd15-tiny` }).generate();
  expect(off(ready.pixels, own.pixels)).toBeLessThanOrEqual(1);
  expect(ready.infotext).toContain('Model: ready-made');
  expect(ready.summary.notes).toEqual([]);
  const again = start({ entries });
  expect((await again.generate()).pixels).toEqual(ready.pixels);
  expect(again.access.reads).toEqual([]);
});

test('follows clip skip where the graph gives out its states', async () => {
  const params = { clipSkip: 3 };
  const ready = await start().generate(params);
  const own = await start({ path: `${MODELS}sd15-tiny` }).generate(params);
  expect(off(ready.pixels, own.pixels)).toBeLessThanOrEqual(1);
});

test('takes another VAE, and says why it takes no LoRA', async () => {
  const ready = start();
  const plain = await ready.generate();
  const other = await ready.generate({ vae: 'vae-tiny' });
  expect(off(plain.pixels, other.pixels)).toBeGreaterThan(8);
  const own = await start({ path: `${MODELS}sd15-tiny` }).generate({ vae: 'vae-tiny' });
  expect(off(other.pixels, own.pixels)).toBeLessThanOrEqual(1);
  await expect(ready.generate({ prompt: 'a cat <lora:sd15-kohya:1>' })).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(
      /^The LoRA sd15-kohya cannot be put over ready-made: .*safetensors\.$/,
    ),
  });
  expect((await ready.generate()).pixels).toEqual(plain.pixels);
});

test('keeps its own precision and says so', async () => {
  const { summary } = await start({ config: { precision: 'q8' } }).generate();
  expect(summary.notes).toEqual([
    "q8 was asked for, but this checkpoint's ONNX graphs are used as they are, in fp32.",
  ]);
});

test('of sides that its graph does not divide refuses before it works', async () => {
  const ready = start();
  await expect(ready.generate({ width: 72 })).rejects.toMatchObject({
    code: 'invalid-request',
    message: expect.stringMatching(/multiples of 64 pixels, which 72×64 is not/),
  });
});
