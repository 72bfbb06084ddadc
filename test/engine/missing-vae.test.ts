import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { GENERATION_DEFAULTS } from '../../protocol/generation.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { createMemoryStore } from '../../web/engine/models/key-value-store.ts';
import { MODELS } from '../compiler/lib/files.ts';
import { editedSingleFileBytes } from '../compiler/lib/single-file.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';

const engines: LocalEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

async function start() {
  const [entries, localEntries] = [createMemoryStore(), createMemoryStore()];
  const access = nodeAccess({ entries, localEntries });
  const engine = createLocalEngine(ENGINE_CONFIG, access);
  engines.push(engine);
  const dropped = (name: string, bytes: Uint8Array) => ({
    path: name,
    file: new File([new Uint8Array(bytes)], name),
  });
  const bytes = await editedSingleFileBytes('sd15-tiny', { drop: /^first_stage_model\./ });
  await engine.addFiles([dropped('bare.safetensors', bytes)]);
  const addVae = (name: string) =>
    engine.addFiles([dropped(name, readFileSync(join(MODELS, 'vae-tiny.safetensors')))]);
  const make = (vae: string | null = null) =>
    engine.generate({
      ...GENERATION_DEFAULTS,
      ...{ checkpoint: 'bare', vae, prompt: 'a cat', width: 64, height: 64, steps: 1 },
    });
  return { access, entries, engine, addVae, make };
}

describe('a checkpoint without a VAE', () => {
  test('says so before anything is compiled, and which VAEs there are', async () => {
    const { entries, make, addVae } = await start();
    await expect(make()).rejects.toMatchObject({
      code: 'invalid-model',
      message: expect.stringMatching(/bare holds no VAE.*Put one into the VAE folder/),
    });
    expect((await entries.keys()).filter((key) => key.startsWith('chunk:'))).toEqual([]);
    await addVae('soft.safetensors');
    await expect(make()).rejects.toThrow('Choose one (there are soft)');
    // Not A1111's "None" either: that is the checkpoint's own.
    await expect(make('None')).rejects.toThrow('holds no VAE');
  });

  test('makes pictures with the VAE that is chosen', async () => {
    const { make, addVae, access } = await start();
    await addVae('soft.safetensors');
    const { width, vae, notes } = await make('soft');
    expect([width, vae?.name, notes]).toEqual([64, 'soft.safetensors', []]);
    expect(access.pictures).toHaveLength(1);
    // It was compiled by then, and still has none of its own.
    await expect(make('None')).rejects.toThrow('holds no VAE');
  });

  test('takes the VAE that is called as it is by itself', async () => {
    const { make, addVae } = await start();
    await addVae('bare.vae.safetensors');
    expect((await make()).vae?.name).toBe('bare.vae.safetensors');
  });
});
