import { afterAll, expect, test } from 'vitest';
import { GENERATION_DEFAULTS } from '../../protocol/generation.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { createMemoryStore } from '../../web/engine/models/key-value-store.ts';
import type { Runtime } from '../../web/engine/runtime/runtime.ts';
import { editedSingleFileBytes } from '../compiler/lib/single-file.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';

const engines: LocalEngine[] = [];
// At the end alone: a store in memory is empty when it is closed.
afterAll(() => Promise.all(engines.map((engine) => engine.close())));

test('what an SD 2 checkpoint predicts is found out at its first load, and kept with what is compiled', async () => {
  const [entries, localEntries] = [createMemoryStore(), createMemoryStore()];
  // Nothing in it says what it predicts: the heads of its tiny text encoder are all that is stated.
  const metadata = { num_attention_heads: JSON.stringify({ text_encoder: 2 }) };
  const bytes = await editedSingleFileBytes('sd2-tiny', { metadata });
  const file = new File([new Uint8Array(bytes)], 'sd2.safetensors');
  const params = {
    ...GENERATION_DEFAULTS,
    ...{ checkpoint: 'sd2', prompt: 'a cat', width: 64, height: 64, steps: 1, seed: 3 },
  };

  /** A tab's life: the number of UNet sessions that it opened, and what it said of its picture. */
  async function visit() {
    let unets = 0;
    const access = nodeAccess({
      ...{ entries, localEntries },
      wrap: (real) =>
        new Proxy(real, {
          get(target, name: keyof Runtime) {
            if (name !== 'openSession') {
              const value = target[name];
              return typeof value === 'function' ? value.bind(target) : value;
            }
            return (...args: Parameters<Runtime['openSession']>) => {
              if (args[1].what === 'The UNet') unets += 1;
              return target.openSession(...args);
            };
          },
        }),
    });
    const engine = createLocalEngine(ENGINE_CONFIG, access);
    await engine.refreshModels();
    if (!access.sources.find('sd2')) await engine.addFiles([{ path: file.name, file }]);
    const { notes } = await engine.generate(params);
    engines.push(engine);
    return { unets, notes };
  }

  const first = await visit();
  expect(first.notes.join()).toContain('a trial run, as in A1111, said');
  const second = await visit();
  expect(second.notes).toEqual(first.notes);
  // The trial's session is the one that the second tab does not open.
  expect(second.unets).toBe(first.unets - 1);
});
