import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import type { ModelListing } from '../../protocol/catalog.ts';
import {
  GENERATION_DEFAULTS,
  type GenerationParams,
  hiresParams,
} from '../../protocol/generation.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { openLora } from '../../web/compiler/lora/lora-file.ts';
import { mergeLoras } from '../../web/compiler/lora/merge.ts';
import { createCheckpointModel } from '../../web/engine/checkpoint-model.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { createMemoryStore } from '../../web/engine/models/key-value-store.ts';
import { createLocalSources } from '../../web/engine/models/local-sources.ts';
import type { ModelSources } from '../../web/engine/models/sources.ts';
import { generate as runPipeline } from '../../web/engine/pipeline/generate.ts';
import { createClipTokenizer, loadClipVocabulary } from '../../web/engine/prompt/tokenizer.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import type { EngineConfig } from '../../web/shared/worker-protocol.ts';
import { fileSource } from '../compiler/lib/files.ts';
import { MemorySink } from '../compiler/lib/runtime.ts';
import { nodeAccess, nodeRuntime } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';

/** The whole engine with a real (tiny) checkpoint and real LoRAs. */

const MODELS = fileURLToPath(new URL('../fixtures/models/', import.meta.url));
const CONFIG: EngineConfig = { ...ENGINE_CONFIG, precision: 'fp32' };
const PARAMS: GenerationParams = {
  ...{ ...GENERATION_DEFAULTS, prompt: 'a cat', width: 64, height: 64, steps: 2, seed: 7 },
};

const engines: LocalEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

/** An engine that lists these LoRAs of the fixtures beside the checkpoint. */
function start(names: string[], embeddings: string[] = []) {
  const access = nodeAccess();
  const base = access.sources;
  const [checkpoint] = base.listings;
  const path = (name: string) => join(MODELS, 'loras', `${name}.safetensors`);
  const listing = (name: string): ModelListing => ({
    ...{ kind: 'lora', name, source: 'bridge', filename: path(name), url: `loras/${name}/` },
    ...{ files: [{ path: `${name}.safetensors`, sizeBytes: 1 }], version: 'v1' },
  });
  let listings: ModelListing[] = [];
  const list = () => {
    const words = embeddings.map(
      (name): ModelListing => ({
        ...{ ...listing(name), kind: 'embedding', url: `embeddings/${name}/` },
      }),
    );
    listings = [checkpoint!, ...names.map(listing), ...words];
    return listings;
  };
  const sources: ModelSources = {
    get listings() {
      return listings;
    },
    refresh: async () => list(),
    find: (name) => base.find(name),
    open(of) {
      if (of.kind === 'embedding') {
        const word = fileSource(join(MODELS, `${of.url.slice(0, -1)}.safetensors`), of.name);
        return { name: of.name, files: [lazy(word, `${of.name}.safetensors`, of.name)] };
      }
      if (of.kind !== 'lora') return base.open(of);
      // The file is looked at when it is read, as over HTTP.
      const file = fileSource(path(of.name), `${of.name}.safetensors`);
      return { name: of.name, files: [lazy(file, `${of.name}.safetensors`, of.name)] };
    },
  };
  const sizes: Record<string, number> = {
    'sd15-kohya': 303492,
    'sd15-peft': 236000,
    'sdxl-kohya': 408680,
    'sd15-ti': 512,
    'sdxl-ti': 344,
  };
  const lazy = (file: ReturnType<typeof fileSource>, name: string, lora: string) => ({
    ...{ path: name, sizeBytes: sizes[lora]! },
    read: async (offset: number, length: number) => (await file).read(offset, length),
  });
  const engine = createLocalEngine(CONFIG, {
    ...access,
    sources: createLocalSources(sources, async () => createMemoryStore()),
  });
  engines.push(engine);
  const generate = async (prompt: string, change: Partial<GenerationParams> = {}) => {
    const images: GeneratedImage[] = [];
    const before = access.pictures.length;
    const options = { onImage: (image: GeneratedImage) => void images.push(image) };
    const summary = await engine.generate({ ...PARAMS, prompt, ...change }, options);
    return { summary, infotext: images[0]!.infotext, pixels: access.pictures[before]!.data };
  };
  return { access, engine, generate, names };
}

function off(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
}

/** The picture of a checkpoint whose weights were merged as a whole. */
async function mergedPicture(prompt: string, text: number, unet: number) {
  const access = nodeAccess();
  const checkpoint = await openCheckpoint(access.sources.open(access.sources.listings[0]!));
  const path = join(MODELS, 'loras', 'sd15-kohya.safetensors');
  const file = await fileSource(path, 'sd15-kohya.safetensors');
  const lora = await openLora({ name: 'lora', files: [file] });
  const uses = [{ lora, textEncoderStrength: text, unetStrength: unet }];
  const sink = new MemorySink();
  const compiled = await compileCheckpoint(mergeLoras(checkpoint, uses), {
    ...{ precision: 'fp32', sink },
  });
  const [encoder] = compiled.description.textEncoders;
  const vocabulary = encoder!.tokenizer ?? loadClipVocabulary(await access.loadClipMerges());
  const model = createCheckpointModel({
    ...{ runtime: nodeRuntime(), compiled, budgetBytes: 2 ** 30 },
    shardsOf: async ({ name }) =>
      sink.bytes(name).map((bytes) => new Blob([bytes as Uint8Array<ArrayBuffer>])),
    tokenizers: [createClipTokenizer({ ...encoder!, ...vocabulary, flavor: 'clip' })],
  });
  let pixels: ArrayLike<number> = [];
  await runPipeline({
    params: { ...PARAMS, prompt },
    model,
    decodeImage: access.decodeImage,
    async finishImage(picture) {
      pixels = picture.pixels.data;
      return {} as GeneratedImage;
    },
    control: { isInterrupted: () => false, isSkipped: () => false, beginBatch() {} },
  });
  await model.release();
  return pixels;
}

test('a LoRA tag changes the picture as merging does, and its strengths count apart', async () => {
  const { generate } = start(['sd15-kohya']);
  const plain = await generate('a cat');
  const with1 = await generate('a cat<lora:sd15-kohya:1>');
  expect(off(with1.pixels, plain.pixels)).toBeGreaterThan(4);
  expect(off(with1.pixels, await mergedPicture('a cat', 1, 1))).toBeLessThanOrEqual(1);
  const apart = await generate('a cat<lora:sd15-kohya:0.3:0.9>');
  expect(off(apart.pixels, await mergedPicture('a cat', 0.3, 0.9))).toBeLessThanOrEqual(1);
  expect(off(apart.pixels, with1.pixels)).toBeGreaterThan(1);
  // And without a tag all is as before.
  expect((await generate('a cat')).pixels).toEqual(plain.pixels);
  expect(with1.infotext).toMatch(/Lora hashes: "sd15-kohya: [0-9a-f]{12}"/);
  expect(plain.infotext).not.toContain('Lora hashes');
  const hidden = { hiddenInfotextKeys: ['Lora hashes' as const] };
  const hashless = await generate('a cat<lora:sd15-kohya:1>', hidden);
  expect(hashless.infotext).not.toContain('Lora hashes');
  expect(hashless.summary.extraParams).not.toHaveProperty('Lora hashes');
}, 60_000);

test('another strength makes and stores the touched weights alone', async () => {
  const { generate, access, engine } = start(['sd15-peft']);
  await generate('a cat');
  const [base] = await engine.listCompiled();
  const written: number[] = [];
  const set = access.entries.set.bind(access.entries);
  access.entries.set = async (key, value, options) => {
    if (value instanceof Blob) written.push(value.size);
    return set(key, value, options);
  };
  await generate('a cat<lora:sd15-peft:0.5>');
  const all = await engine.listCompiled();
  const variant = all.find(({ key }) => key !== base!.key)!;
  const sum = written.reduce((a, b) => a + b, 0);
  expect(sum).toBe(variant.sizeBytes);
  expect(sum).toBeGreaterThan(0);
  expect(sum).toBeLessThan(base!.sizeBytes / 4);
  // A set that was made before is made no more.
  written.length = 0;
  await generate('a dog<lora:sd15-peft:0.5>');
  expect(written).toEqual([]);
}, 60_000);

test('sets of LoRAs are few, and leave with their checkpoint', async () => {
  const { generate, engine } = start(['sd15-peft']);
  await generate('a cat');
  const [base] = await engine.listCompiled();
  for (let tenths = 1; tenths <= 8; tenths++) await generate(`a cat<lora:sd15-peft:0.${tenths}>`);
  expect(await engine.listCompiled()).toHaveLength(1 + 6);
  await engine.deleteCompiled(base!.key);
  expect(await engine.listCompiled()).toEqual([]);
}, 120_000);

test('a LoRA is found by the name of its training, and as soon as its file is there', async () => {
  const { generate, names } = start([]);
  const without = await generate('a cat<lora:fixture:1>');
  expect(without.summary.notes).toEqual([
    'Networks not found: fixture. The picture was made without them.',
  ]);
  names.push('sd15-kohya');
  const found = await generate('a cat<lora:fixture:1>');
  expect(found.summary.notes).toEqual([]);
  expect(off(found.pixels, without.pixels)).toBeGreaterThan(4);
}, 60_000);

test('a LoRA of another family fails the job with its own sentence', async () => {
  const { generate } = start(['sdxl-kohya']);
  await expect(generate('a cat<lora:sdxl-kohya:1>')).rejects.toThrow(/It is a LoRA for SDXL/);
  expect((await generate('a cat')).summary.notes).toEqual([]);
}, 60_000);

test('a textual inversion stands for its name, without a compile, and is told in infotexts', async () => {
  const words = start([], ['sd15-ti', 'sdxl-ti']);
  const plain = await start([]).generate('a photo of sd15-ti in the snow');
  const other = await words.generate('a photo of a cat');
  const compiled = await words.engine.listCompiled();
  const used = await words.generate('a photo of sd15-ti in the snow');
  expect(off(used.pixels, plain.pixels)).toBeGreaterThan(4);
  expect(used.infotext).toMatch(/TI hashes: "sd15-ti: [0-9a-f]{12}"/);
  expect(other.infotext).not.toContain('TI hashes');
  const hidden = { hiddenInfotextKeys: ['TI hashes' as const] };
  const hashless = await words.generate('a photo of sd15-ti in the snow', hidden);
  expect(hashless.infotext).not.toContain('TI hashes');
  expect((await words.engine.listCompiled()).map(({ key }) => key)).toEqual(
    compiled.map(({ key }) => key),
  );
  const foreign = await words.generate('a photo of sdxl-ti');
  expect(foreign.summary.notes).toEqual([
    expect.stringContaining('The textual inversion "sdxl-ti" was left out.'),
  ]);
}, 60_000);

test('a hires prompt has its own LoRAs in the second pass, and the job tells of both', async () => {
  const { engine, access } = start(['sd15-kohya', 'sd15-peft']);
  const make = async (
    prompt: string,
    second: string | null,
    change: Partial<GenerationParams> = {},
  ) => {
    const images: GeneratedImage[] = [];
    const before = access.pictures.length;
    const hires = hiresParams.parse({ scale: 1, denoisingStrength: 0.7, prompt: second });
    const onImage = (image: GeneratedImage) => void images.push(image);
    await engine.generate({ ...PARAMS, ...change, prompt, hires }, { onImage });
    return { infotext: images[0]!.infotext, pixels: access.pictures[before]!.data };
  };
  const [none, kohya, peft] = ['a cat', 'a cat<lora:sd15-kohya:2>', 'a cat<lora:sd15-peft:2>'];
  const own = await make(kohya, peft);
  expect(own.infotext).toMatch(/Lora hashes: "sd15-kohya: [0-9a-f]{12}, sd15-peft: [0-9a-f]{12}"/);
  const [plain, same, late] = [
    await make(none, null),
    await make(kohya, null),
    await make(none, peft),
  ];
  for (const other of [plain, same, late]) {
    expect(off(own.pixels, other.pixels)).toBeGreaterThan(1);
  }
  expect(late.infotext).toMatch(/Lora hashes: "sd15-peft: [0-9a-f]{12}"/);
  // Nothing of the second pass stays for the next job.
  expect((await make(none, null)).pixels).toEqual(plain.pixels);
  // Without networks the tags are cut out of the text and that is all.
  const off2 = await make(kohya, peft, { usesNetworks: false });
  expect(off2.pixels).toEqual(plain.pixels);
  expect(off2.infotext).not.toContain('Lora hashes');
});
