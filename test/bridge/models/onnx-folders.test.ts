import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describePath, scanModels } from '../../../bridge/models/scan.ts';
import { temporaryFolder } from '../support.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

function put(...paths: string[]): void {
  for (const path of paths) {
    const full = join(folder.path, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, path);
  }
}

const PARTS = [
  'text_encoder/model.onnx',
  'text_encoder/config.json',
  'unet/model.onnx',
  'unet/model.onnx_data',
  'unet/model.onnx_data_1',
  'unet/weights.pb',
  'vae_decoder/model.onnx',
  'vae_decoder/model.onnx.data',
  'tokenizer/merges.txt',
];

it('lists folders of ONNX graphs, with and without an index, with all the files of their weights', async () => {
  put(...PARTS.map((path) => `bare/${path}`), 'bare/unet/model.bin');
  put(...PARTS.map((path) => `sub/indexed/${path}`), 'sub/indexed/model_index.json');
  const found = await scanModels('checkpoint', folder.path);
  expect(found.map(({ listing }) => listing.name)).toEqual(['bare', 'indexed']);
  const paths = (index: number) => found[index]!.listing.files.map(({ path }) => path).sort();
  expect(paths(0)).toEqual([...PARTS].sort());
  expect(paths(1)).toEqual([...PARTS, 'model_index.json'].sort());
  const given = await describePath('checkpoint', join(folder.path, 'bare'));
  expect(given!.listing.files).toHaveLength(PARTS.length);
});

it('takes no folder for one that merely holds a graph', async () => {
  put('other/model.onnx', 'other/unet/notes.txt', 'half/unet/model.onnx');
  put('half/unet/diffusion_pytorch_model.safetensors');
  const found = await scanModels('checkpoint', folder.path);
  expect(found.map(({ listing }) => listing.name)).toEqual(['diffusion_pytorch_model']);
});
