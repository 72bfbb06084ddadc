import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { modelIndex } from '../../protocol/catalog.ts';
import { listEmbeddedModels } from '../../tools/lib/model-index.mjs';

const FIXTURES = fileURLToPath(new URL('../fixtures/models/', import.meta.url));

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'easel-index-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const list = () => modelIndex.parse(listEmbeddedModels(folder)).models;

test('folders of diffusers are checkpoints, LoRA files beside them are LoRAs, other folders are nothing', () => {
  mkdirSync(join(folder, 'small', 'unet'), { recursive: true });
  mkdirSync(join(folder, 'notes'));
  writeFileSync(join(folder, 'small', 'model_index.json'), '{}');
  writeFileSync(join(folder, 'small', 'unet', 'config.json'), '{ }');
  writeFileSync(join(folder, 'small', 'README.md'), 'not a part of it');
  copyFileSync(join(FIXTURES, 'loras/sd15-kohya.safetensors'), join(folder, 'fast.safetensors'));
  const models = list().sort((a, b) => a.kind.localeCompare(b.kind));
  expect(models).toMatchObject([
    {
      ...{ kind: 'checkpoint', name: 'small', url: 'models/small/', filename: 'models/small' },
      files: [
        { path: 'model_index.json', sizeBytes: 2 },
        { path: 'unet/config.json', sizeBytes: 3 },
      ],
    },
    {
      ...{ kind: 'lora', name: 'fast', source: 'embedded', url: 'models/' },
      filename: 'models/fast.safetensors',
      files: [{ path: 'fast.safetensors', sizeBytes: 303492 }],
    },
  ]);
});

test('a changed file is another version', () => {
  mkdirSync(join(folder, 'small'));
  writeFileSync(join(folder, 'small', 'model_index.json'), '{}');
  const [before] = list();
  writeFileSync(join(folder, 'small', 'model_index.json'), '[]');
  expect(list()[0]?.version).not.toBe(before?.version);
});

test('a file that is no LoRA stops the build with its name', () => {
  copyFileSync(join(FIXTURES, 'vae-tiny.safetensors'), join(folder, 'other.safetensors'));
  expect(list).toThrow(/other\.safetensors is no LoRA/);
});

test('without the folder there is nothing', () => {
  rmSync(folder, { recursive: true });
  expect(list()).toEqual([]);
  mkdirSync(folder);
});
