import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openCheckpoint } from '../../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../../web/compiler/compile.ts';
import { openLora } from '../../../web/compiler/lora/lora-file.ts';
import { mergeLoras } from '../../../web/compiler/lora/merge.ts';
import type { ModelFiles } from '../../../web/compiler/model.ts';
import { folderFiles, MODELS, memorySource } from '../lib/files.ts';
import { fixtureFiles, renamedFile } from '../lib/parts.ts';
import { MemorySink } from '../lib/runtime.ts';

const KOHYA = 'loras/sd15-kohya.safetensors';
const LAYER = 'lora_te_text_model_encoder_layers_0_mlp_fc1';

async function merge(files: ModelFiles, model = 'sd15-tiny') {
  const checkpoint = await openCheckpoint(await folderFiles(join(MODELS, model)));
  const lora = await openLora(files);
  return mergeLoras(checkpoint, [{ lora, textEncoderStrength: 1, unetStrength: 1 }]);
}

const zeros = (shape: number[]) => ({
  ...{ dtype: 'F32' as const, shape },
  bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
});

test('a LoRA of another family is told by its family', async () => {
  await expect(merge(await fixtureFiles('loras/sdxl-kohya.safetensors'))).rejects.toThrow(
    /sdxl-kohya\.safetensors: .*"lora_\w+".* It is a LoRA for SDXL, and the checkpoint is SD 1/,
  );
  await expect(merge(await fixtureFiles(KOHYA), 'sdxl-tiny')).rejects.toThrow(
    /sd15-kohya\.safetensors: .*It is a LoRA for SD 1, and the checkpoint is SDXL/,
  );
});

test('a layer that the checkpoint does not have is named', async () => {
  const files = await renamedFile(await fixtureFiles(KOHYA), (name) =>
    name.replace(LAYER, 'lora_te_text_model_encoder_layers_99_mlp_fc1'),
  );
  await expect(merge(files)).rejects.toThrow(
    /renamed\.safetensors: the layer "lora_te_text_model_encoder_layers_99_mlp_fc1" is none of/,
  );
});

test('a layer of another shape is named with both shapes', async () => {
  const down = `${LAYER}.lora_down.weight`;
  const files = await renamedFile(
    await fixtureFiles(KOHYA),
    (name) => (name === down ? null : name),
    'other.safetensors',
    { [down]: zeros([4, 48]) },
  );
  await expect(merge(files)).rejects.toThrow(
    /other\.safetensors: the layer "lora_te_\w+_mlp_fc1" is made for a weight of 128 × 48, but "text_model\.encoder\.layers\.0\.mlp\.fc1\.weight" of model has 128 × 32/,
  );
});

test('tensors of an unknown kind are named', async () => {
  const dora = { [`${LAYER}.dora_scale`]: zeros([1, 32]) };
  const files = await renamedFile(
    await fixtureFiles(KOHYA),
    (name) => name,
    'dora.safetensors',
    dora,
  );
  await expect(openLora(files)).rejects.toThrow(
    /dora\.safetensors: tensor "lora_te_\w+\.dora_scale" is no part of a LoRA/,
  );
});

test('a layer without one of its factors is named', async () => {
  const files = await renamedFile(await fixtureFiles(KOHYA), (name) =>
    name === `${LAYER}.lora_up.weight` ? null : name,
  );
  await expect(merge(files)).rejects.toThrow(/the layer "lora_te_\w+_mlp_fc1" is incomplete/);
});

test('a file that is cut off is told so, at once or while it is merged', async () => {
  const [file] = (await fixtureFiles(KOHYA)).files;
  const bytes = await file!.read(0, file!.sizeBytes);
  const cut = memorySource('cut.safetensors', bytes.slice(0, -1000));
  await expect(openLora({ name: 'cut', files: [cut] })).rejects.toThrow(
    /cut\.safetensors: .*cut off/,
  );

  const shrinking = {
    ...memorySource('shrinking.safetensors', bytes),
    read: async (offset: number, length: number) =>
      bytes.slice(offset, Math.min(offset + length, bytes.length - 1000)),
  };
  const merged = await merge({ name: 'shrinking', files: [shrinking] });
  await expect(
    compileCheckpoint(merged, { precision: 'fp32', sink: new MemorySink() }),
  ).rejects.toThrow(/shrinking\.safetensors: is cut off: of tensor "lora_/);
});

test('another kind of file is told by what it is', async () => {
  await expect(openLora(await fixtureFiles('vae-tiny.safetensors'))).rejects.toThrow(
    /vae-tiny\.safetensors: holds a VAE, where a LoRA was expected/,
  );
});
