import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint, compileComponents } from '../../web/compiler/compile.ts';
import { openControlnet } from '../../web/compiler/layouts/controlnet-file.ts';
import { openTaesd } from '../../web/compiler/layouts/taesd-file.ts';
import type { ModelFiles } from '../../web/compiler/model.ts';
import { createCheckpointModel } from '../../web/engine/checkpoint-model.ts';
import type { Companion } from '../../web/engine/models/companions.ts';
import { createClipTokenizer, loadClipVocabulary } from '../../web/engine/prompt/tokenizer.ts';
import type { Runtime } from '../../web/engine/runtime/runtime.ts';
import { MemorySink } from '../compiler/lib/runtime.ts';
import { nodeRuntime } from './engine-access.ts';
import { folderFiles } from './file-source.ts';

const MODELS = fileURLToPath(new URL('../fixtures/models/', import.meta.url));

/** A fixture checkpoint in fp32 over the real wasm runtime, and what goes with it, with no store in between. */
export async function loadedModel(name: string, runtime: Runtime = nodeRuntime()) {
  const checkpoint = await openCheckpoint(folderFiles(`${MODELS}${name}`, name));
  const sink = new MemorySink();
  const compiled = await compileCheckpoint(checkpoint, { precision: 'fp32', sink });
  const blobs = (from: MemorySink, part: Parameters<MemorySink['bytes']>[0]) =>
    from.bytes(part).map((bytes) => new Blob([Uint8Array.from(bytes)]));
  const merges = readFileSync(new URL('../../public/clip/merges.txt', import.meta.url), 'utf8');
  const model = createCheckpointModel({
    ...{ runtime, compiled, budgetBytes: 2 ** 30 },
    shardsOf: async (component) => blobs(sink, component.name),
    tokenizers: compiled.description.textEncoders.map(({ bosId, eosId, padId, tokenizer }) =>
      createClipTokenizer({
        ...(tokenizer ?? loadClipVocabulary(merges)),
        ...{ bosId, eosId, padId },
      }),
    ),
  });
  return {
    model,
    compiled,
    sink,
    /** The first network of these files. */
    async companion(kind: 'taesd' | 'controlnet', files: ModelFiles): Promise<Companion> {
      const { components } = await (kind === 'taesd' ? openTaesd : openControlnet)(files);
      const own = new MemorySink();
      const [component] = await compileComponents(components, { precision: 'fp32', sink: own });
      const shards = async () => blobs(own, component!.name);
      return { name: files.name, key: files.name, component: component!, shards };
    },
  };
}
