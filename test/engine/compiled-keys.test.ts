import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { openLora } from '../../web/compiler/lora/lora-file.ts';
import { mergeLoras } from '../../web/compiler/lora/merge.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { loadCompiled } from '../../web/engine/models/checkpoint-loader.ts';
import type { PrecisionChoice } from '../../web/engine/models/choose-precision.ts';
import { createMemoryStore, type KeyValueStore } from '../../web/engine/models/key-value-store.ts';
import type { Manifest } from '../../web/engine/models/manifest.ts';
import { createModelStore } from '../../web/engine/models/model-store.ts';
import type { EngineConfig } from '../../web/shared/worker-protocol.ts';
import { fileSource, MODELS } from '../compiler/lib/files.ts';
import { singleFileBytes } from '../compiler/lib/single-file.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';

const compiler = vi.hoisted(() => ({ version: null as number | null }));
vi.mock('../../web/compiler/compile.ts', async (original) => {
  const real = await original<typeof import('../../web/compiler/compile.ts')>();
  return {
    ...real,
    get COMPILER_VERSION() {
      return compiler.version ?? real.COMPILER_VERSION;
    },
  };
});

/** One browser: what is compiled in it, and how many bytes of chunks were ever written. */
const memory = createMemoryStore();
const localEntries = createMemoryStore();
let chunkBytes = 0;
const entries: KeyValueStore = {
  ...memory,
  async set(key, value, options) {
    if (key.startsWith('chunk:')) chunkBytes += (value as Blob).size;
    return memory.set(key, value, options);
  },
};

const manifests = async (): Promise<Manifest[]> => {
  const keys = (await memory.keys()).filter((key) => key.startsWith('manifest:'));
  return (await memory.getMany(keys)) as Manifest[];
};

const BASE: GenerationParams = {
  ...GENERATION_DEFAULTS,
  ...{ prompt: 'a cat', width: 64, height: 64, steps: 1, seed: 1 },
};

const engines: LocalEngine[] = [];
afterAll(() => Promise.all(engines.map((engine) => engine.close())));

interface Surroundings {
  readonly config?: Partial<EngineConfig>;
  readonly runtimeVersion?: string;
  readonly compilerVersion?: number;
}

/** A tab of that browser makes one picture; gives the models that were compiled for it. */
async function visit(params: Partial<GenerationParams>, around: Surroundings = {}) {
  const { config = {}, runtimeVersion, compilerVersion = null } = around;
  compiler.version = compilerVersion;
  const access = nodeAccess({
    ...{ entries, localEntries },
    wrap: (real) =>
      runtimeVersion === undefined
        ? real
        : new Proxy(real, {
            get(target, name) {
              if (name === 'version') return runtimeVersion;
              const value = Reflect.get(target, name, target);
              return typeof value === 'function' ? value.bind(target) : value;
            },
          }),
  });
  const engine = createLocalEngine({ ...ENGINE_CONFIG, precision: 'fp32', ...config }, access);
  engines.push(engine);
  await engine.refreshModels();
  const [before, bytesBefore] = [await manifests(), chunkBytes];
  const states = new Set<string>();
  engine.onStatus(({ state }) => states.add(state));
  await engine.generate({ ...BASE, ...params });
  compiler.version = null;
  const known = new Set(before.map(({ key }) => key));
  return {
    compiled: (await manifests()).filter(({ key }) => !known.has(key)),
    writtenBytes: chunkBytes - bytesBefore,
    wasCompiling: states.has('compiling'),
    reads: access.reads.filter((path) => path.endsWith('.safetensors')),
    access,
    engine,
  };
}

let base: Manifest;
beforeAll(async () => {
  const { engine, compiled } = await visit({});
  base = compiled[0]!;
  const file = (path: string, name: string) => {
    const file = new File([readFileSync(join(MODELS, path))], name);
    return {
      path: name,
      file,
      handle: { getFile: async () => file } as unknown as FileSystemFileHandle,
    };
  };
  await engine.addFiles([
    file('loras/sd15-kohya.safetensors', 'style.safetensors'),
    file('loras/sd15-peft.safetensors', 'other.safetensors'),
    file('vae-tiny.safetensors', 'soft.safetensors'),
  ]);
});

describe('what a compiled model depends on gives it another key', () => {
  test.each<[string, Partial<GenerationParams>, Surroundings]>([
    ['a LoRA', { prompt: 'a cat <lora:style:1>' }, {}],
    ['another LoRA', { prompt: 'a cat <lora:other:1>' }, {}],
    ['two LoRAs', { prompt: 'a cat <lora:style:1> <lora:other:1>' }, {}],
    ['its strength', { prompt: 'a cat <lora:style:0.6>' }, {}],
    ['its strength for the text encoder alone', { prompt: 'a cat <lora:style:0.6:1>' }, {}],
    ['a VAE', { vae: 'soft' }, {}],
    ['half the precision', {}, { config: { precision: 'fp16' } }],
    ['codes of 8 bits', {}, { config: { precision: 'q8' } }],
    ['codes of 4 bits', {}, { config: { precision: 'q4' } }],
    ['another compiler', {}, { compilerVersion: 99 }],
    ['another runtime', {}, { runtimeVersion: 'onnxruntime-web 99.0' }],
  ])('%s', async (_, params, around) => {
    const first = await visit(params, around);
    expect(first.compiled).toHaveLength(1);
    expect(first.compiled[0]!.key).not.toBe(base.key);
    expect(first.writtenBytes).toBe(first.compiled[0]!.sizeBytes);
    expect(first.wasCompiling).toBe(true);
    const again = await visit(params, around);
    expect([again.compiled, again.writtenBytes, again.reads]).toEqual([[], 0, []]);
    expect(again.wasCompiling).toBe(false);
  });

  test('the adapter’s arithmetic, and the content of a file', async () => {
    const { sources } = nodeAccess();
    const store = createModelStore(createMemoryStore());
    const load = (form: Pick<PrecisionChoice, 'precision' | 'activations'>) =>
      loadCompiled(sources.listings[0]!, {
        ...{ sources, store, runtimeVersion: '1', onActivity: () => {} },
        choosePrecision: () => ({ ...form, reason: '', isReduced: false }),
      });
    const full = await load({ precision: 'q8', activations: 'float32' });
    const half = await load({ precision: 'q8', activations: 'float16' });
    expect(half.key).not.toBe(full.key);
    expect(half.origin?.features).toEqual(['shader-f16']);
    // One byte of one weight.
    const bytes = singleFileBytes('sd15-tiny');
    bytes[bytes.length - 1]! ^= 1;
    const other = nodeAccess();
    const [listing] = await other.sources.add([
      { path: 'sd.safetensors', file: new File([new Uint8Array(bytes)], 'sd.safetensors') },
    ]);
    const [same] = await other.sources.add([
      {
        path: 'same.safetensors',
        file: new File([new Uint8Array(singleFileBytes('sd15-tiny'))], 'same.safetensors'),
      },
    ]);
    const options = {
      ...{ sources: other.sources, store, runtimeVersion: '1', onActivity: () => {} },
      choosePrecision: () =>
        ({ precision: 'q8', activations: 'float32', reason: '', isReduced: false }) as const,
    };
    const changed = await loadCompiled(listing!, options);
    expect((await loadCompiled(same!, options)).key).not.toBe(changed.key);
  });
});

test('size, steps, sampler, seed and prompt give none: nothing is compiled, read or written', async () => {
  const changes: Partial<GenerationParams>[] = [
    { width: 128 },
    { height: 128 },
    { steps: 3 },
    { sampler: 'DPM++ 2M' },
    { scheduler: 'karras' },
    { seed: 77 },
    { guidanceScale: 3 },
    { clipSkip: 2 },
    { batchSize: 2 },
    { prompt: 'a dog', negativePrompt: 'blurry' },
    { prompt: 'a (cat:1.3)' },
    { prompt: 'a cat <lora:style:0>' },
  ];
  for (const change of changes) {
    const { compiled, writtenBytes, wasCompiling, reads } = await visit(change);
    expect([change, compiled, writtenBytes, wasCompiling, reads]).toEqual([
      change,
      [],
      0,
      false,
      [],
    ]);
  }
});

describe('a change re-does only the tensors that it touches', () => {
  test('of a LoRA: those that it names, by count', async () => {
    const { compiled, writtenBytes, access } = await visit({ prompt: 'a cat <lora:style:0.31>' });
    const checkpoint = await openCheckpoint(access.sources.open(access.sources.listings[0]!));
    const file = await fileSource(join(MODELS, 'loras/sd15-kohya.safetensors'), 'style');
    const lora = await openLora({
      name: 'style',
      files: [{ ...file, path: 'style.safetensors' }],
    });
    const use = { lora, textEncoderStrength: 0.31, unetStrength: 0.31 };
    const { touched } = mergeLoras(checkpoint, [use]);
    const [variant] = compiled;
    const count = (model: Manifest) =>
      model.model.components.reduce((sum, { weights }) => sum + Object.keys(weights).length, 0);
    expect(
      Object.fromEntries(
        variant!.model.components.map(({ name, weights }) => [name, Object.keys(weights).sort()]),
      ),
    ).toEqual(Object.fromEntries([...touched].map(([name, names]) => [name, [...names].sort()])));
    expect(variant!.baseKey).toBe(base.key);
    expect(count(variant!)).toBeGreaterThan(20);
    expect(count(variant!)).toBeLessThan(count(base) / 2);
    expect(writtenBytes).toBe(variant!.sizeBytes);
    expect(writtenBytes).toBeLessThan(base.sizeBytes / 2);
  });

  test('of a VAE: its own two components, whatever the checkpoint and its LoRAs', async () => {
    const soft = (await manifests()).find(({ name }) => name === 'soft');
    expect(soft?.model.components.map(({ name }) => name)).toEqual(['vae_encoder', 'vae_decoder']);
    const { compiled, writtenBytes, reads } = await visit({
      ...{ vae: 'soft', prompt: 'a cat <lora:style:0.31>' },
    });
    expect([compiled, writtenBytes, reads]).toEqual([[], 0, []]);
  });
});
