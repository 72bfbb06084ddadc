import { describe, expect, it } from 'vitest';
import type { ModelListing } from '../../../protocol/catalog.ts';
import { openCheckpoint } from '../../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../../web/compiler/compile.ts';
import type { AutoencoderKlConfig } from '../../../web/compiler/models/autoencoder-kl.ts';
import { createMemoryStore } from '../../../web/engine/models/key-value-store.ts';
import { createModelStore } from '../../../web/engine/models/model-store.ts';
import type { ModelSources } from '../../../web/engine/models/sources.ts';
import { chooseVae } from '../../../web/engine/models/vae-choice.ts';
import { loadCompiledVae, withVae } from '../../../web/engine/models/vae-loader.ts';
import { folderFiles, MODELS } from '../../compiler/lib/files.ts';
import { fixtureFiles } from '../../compiler/lib/parts.ts';
import { MemorySink } from '../../compiler/lib/runtime.ts';

function listing(name: string, kind: ModelListing['kind'] = 'vae'): ModelListing {
  return {
    ...{ kind, name, source: 'bridge' as const, version: 'v1' },
    filename: `/models/VAE/${name}.safetensors`,
    url: `easel/v1/models/vae/${name}/`,
    files: [{ path: `${name}.safetensors`, sizeBytes: 2_823_590 }],
  };
}

describe('the choice of a VAE', () => {
  const listings = [
    listing('kl-f8'),
    listing('dream.vae'),
    listing('dreamer'),
    listing('dream', 'lora'),
  ];
  const choose = (wanted: string) => chooseVae(wanted, { name: 'dream' }, listings);

  it.each([
    ['None', null],
    ['Automatic', 'dream.vae'],
    ['', 'dream.vae'],
    ['kl-f8', 'kl-f8'],
    ['KL-F8.safetensors', 'kl-f8'],
  ])('%s', (wanted, name) => {
    const { listing: found, note } = choose(wanted);
    expect(found?.name ?? null).toBe(name);
    expect(note).toBeNull();
  });

  it('is the checkpoint’s own where nothing is called as it is', () => {
    expect(chooseVae('Automatic', { name: 'other' }, listings).listing).toBeNull();
  });

  it('says that a name is not there', () => {
    expect(choose('gone')).toEqual({
      listing: null,
      note: 'There is no VAE "gone"; the checkpoint\'s own was used.',
    });
  });
});

describe('a VAE beside a checkpoint', () => {
  async function setUp() {
    const files = await fixtureFiles('vae-tiny.safetensors');
    let reads = 0;
    const counted = files.files.map((file) => ({
      ...file,
      async read(...args: Parameters<typeof file.read>) {
        reads += 1;
        return file.read(...args);
      },
    }));
    const sources = { open: () => ({ ...files, files: counted }) } as unknown as ModelSources;
    const store = createModelStore(createMemoryStore());
    const checkpoint = await openCheckpoint(await folderFiles(`${MODELS}/sd15-tiny`));
    const compiled = await compileCheckpoint(checkpoint, {
      precision: 'fp32',
      sink: new MemorySink(),
    });
    const load = (description = compiled.description) =>
      loadCompiledVae(
        listing('vae-tiny'),
        { ...compiled, description },
        {
          ...{ sources, store, runtimeVersion: '1' },
          onActivity: () => {},
        },
      );
    return { load, compiled, reads: () => reads };
  }

  it('is compiled once, whatever checkpoint it is used with, and takes that one’s scaling', async () => {
    const { load, compiled, reads } = await setUp();
    const first = await load();
    expect(first.model.components.map(({ name }) => name)).toEqual(['vae_encoder', 'vae_decoder']);
    const read = reads();
    const scaled = { ...compiled.description, scalingFactor: 0.5 };
    const second = await load(scaled);
    expect(second.key).toBe(first.key);
    expect(reads()).toBe(read);

    const joined = withVae({ ...compiled, description: scaled }, second.model, 'vae-tiny');
    expect(joined.components.map(({ name }) => name)).toEqual([
      'text_encoder',
      'unet',
      'vae_encoder',
      'vae_decoder',
    ]);
    for (const { config } of joined.components.slice(2)) {
      expect((config as unknown as AutoencoderKlConfig).scalingFactor).toBe(0.5);
    }
    expect(joined.components[1]).toBe(compiled.components[1]);
  });

  it('is refused before it is compiled, and when it was, where its latents are others', async () => {
    const { load, compiled } = await setUp();
    const other = { ...compiled.description, latentChannels: 16 };
    await expect(load(other)).rejects.toMatchObject({ code: 'invalid-model' });
    const vae = await load();
    expect(() => withVae({ ...compiled, description: other }, vae.model, 'vae-tiny')).toThrow(
      "vae-tiny: this VAE's latents have 4 channels, the checkpoint's 16.",
    );
  });
});
