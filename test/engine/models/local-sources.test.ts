import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ModelListing } from '../../../protocol/catalog.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import { groupFiles } from '../../../web/engine/models/group-files.ts';
import {
  createMemoryStore,
  type KeyValueStore,
} from '../../../web/engine/models/key-value-store.ts';
import { createLocalSources } from '../../../web/engine/models/local-sources.ts';
import type { ModelSources } from '../../../web/engine/models/sources.ts';
import type { LocalFile } from '../../../web/shared/engine.ts';
import { MODELS } from '../../compiler/lib/files.ts';
import { singleFileBytes } from '../../compiler/lib/single-file.ts';

function local(path: string, content: string | Uint8Array = path, lastModified = 1): LocalFile {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return { path, file: new File([content as BlobPart], name, { lastModified }) };
}

function folder(path: string, as: string): LocalFile[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => local(`${as}/${relative(path, file)}`, readFileSync(file)));
}

describe('files that were chosen', () => {
  const names = (files: readonly LocalFile[]) =>
    groupFiles(files).map(({ name, files: own }) => [name, ...own.map(({ path }) => path)]);

  test('are checkpoints by stem, with the .yaml of the same name', () => {
    const files = ['a.safetensors', 'a.yaml', 'b.yaml', 'some/c.v2.safetensors', 'notes.txt'];
    expect(names(files.map((path) => local(path)))).toEqual([
      ['a', 'a.safetensors', 'a.yaml'],
      ['c.v2', 'c.v2.safetensors'],
    ]);
  });

  test('of a diffusers folder are one checkpoint, with paths below it and no pickles', () => {
    const files = [
      'down/my model/model_index.json',
      'down/my model/unet/config.json',
      'down/my model/unet/diffusion_pytorch_model.safetensors',
      'down/my model/unet/diffusion_pytorch_model.bin',
      'down/other.safetensors',
    ];
    expect(names(files.map((path) => local(path)))).toEqual([
      [
        'my model',
        'model_index.json',
        'unet/config.json',
        'unet/diffusion_pytorch_model.safetensors',
      ],
      ['other', 'other.safetensors'],
    ]);
  });

  test('of ONNX graphs are one checkpoint, with or without an index, and with the files of their weights', () => {
    const files = [
      'down/my graphs/text_encoder/model.onnx',
      'down/my graphs/unet/model.onnx',
      'down/my graphs/unet/model.onnx_data',
      'down/my graphs/unet/weights.pb',
      'down/my graphs/unet/model.bin',
      'down/lone.onnx',
    ];
    expect(names(files.map((path) => local(path)))).toEqual([
      [
        'my graphs',
        'text_encoder/model.onnx',
        'unet/model.onnx',
        'unet/model.onnx_data',
        'unet/weights.pb',
      ],
    ]);
  });

  test('of a component’s folder are one model, called as the folder is', () => {
    const files = [
      'cn/canny/config.json',
      'cn/canny/model.safetensors',
      'config.json',
      'x.safetensors',
    ];
    expect(names(files.map((path) => local(path)))).toEqual([
      ['canny', 'config.json', 'model.safetensors'],
      ['x', 'x.safetensors'],
    ]);
  });

  test.each([
    [['model.ckpt'], 'model.ckpt is a pickled file'],
    [['picture.png'], 'no model among these files'],
    [[], 'no model among these files'],
  ])('%j are refused with a reason', (paths, reason) => {
    expect(() => groupFiles(paths.map((path) => local(path)))).toThrow(reason);
  });
});

describe('checkpoints of the own disk', () => {
  const other: ModelListing = {
    kind: 'checkpoint',
    name: 'Taken',
    source: 'embedded',
    filename: '',
    url: 'models/taken/',
    files: [{ path: 'x', sizeBytes: 1 }],
    version: '1',
  };
  const base: ModelSources = {
    listings: [other],
    refresh: async () => [other],
    find: (name) => (name === other.name ? other : null),
    open: ({ name }) => ({ name: `base ${name}`, files: [] }),
  };
  let entries: KeyValueStore;
  beforeEach(() => {
    entries = createMemoryStore();
  });
  const open = () => createLocalSources(base, async () => entries);
  const single = () => local('tiny.safetensors', singleFileBytes('sd15-tiny'));

  test('are listed, found by file name, and read', async () => {
    const sources = open();
    const [listing] = await sources.add([single()]);
    expect(listing).toMatchObject({
      name: 'tiny',
      source: 'browser',
      filename: 'tiny.safetensors',
    });
    expect(sources.find('Tiny.safetensors')).toEqual(listing);
    expect(sources.listings.map(({ name }) => name)).toEqual(['Taken', 'tiny']);
    const [file] = sources.open(listing!).files;
    expect(await file!.read(8, 4)).toEqual(singleFileBytes('sd15-tiny').slice(8, 12));
    await expect(file!.read(file!.sizeBytes - 1, 2)).rejects.toMatchObject({
      code: 'invalid-model',
    });
    expect(sources.open(other).name).toBe('base Taken');
  });

  test('of a folder keep its structure', async () => {
    const sources = open();
    const [listing] = await sources.add(folder(join(MODELS, 'sd15-tiny'), 'sd15-tiny'));
    expect(listing?.name).toBe('sd15-tiny');
    expect(listing?.files.map(({ path }) => path)).toContain('unet/config.json');
  });

  test('stay listed after a reload; their files are asked for again where need be', async () => {
    const [listing] = await open().add([single()]);
    const sources = open();
    await sources.refresh();
    expect(sources.find('tiny')).toEqual(listing);
    const [file] = sources.open(listing!).files;
    await expect(file!.read(0, 1)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('Add it again under Models'),
    });
    // Added again under the same name, it is the same checkpoint.
    expect(await sources.add([single()])).toEqual([listing]);
    expect(await sources.open(listing!).files[0]!.read(0, 1)).toHaveLength(1);
  });

  test('are read again after a reload where the browser gave a handle', async () => {
    const { path, file } = single();
    const handle = { getFile: async () => file } as unknown as FileSystemFileHandle;
    const [listing] = await open().add([{ path, file, handle }]);
    const sources = open();
    await sources.refresh();
    expect(await sources.open(listing!).files[0]!.read(0, 8)).toHaveLength(8);
    // Changed on the disk meanwhile.
    handle.getFile = async () => new File(['short'], path);
    const again = open();
    await again.refresh();
    await expect(again.open(listing!).files[0]!.read(0, 8)).rejects.toThrow('it changed');
  });

  test('have a number behind a name that another source has', async () => {
    const [listing] = await open().add([local('taken.safetensors', singleFileBytes('sd15-tiny'))]);
    expect(listing?.name).toBe('taken (2)');
  });

  test('of other kinds are in the lists of their kinds, also after a reload', async () => {
    const fixture = (path: string, as = path) => local(as, readFileSync(join(MODELS, path)));
    const added = await open().add([
      fixture('loras/sd15-kohya.safetensors', 'style.safetensors'),
      fixture('vae-tiny.safetensors', 'tiny.vae.safetensors'),
      fixture('embeddings/sd15-ti.safetensors', 'word.safetensors'),
      fixture('esrgan/esrgan-tiny-x4.safetensors', 'x4.safetensors'),
      ...folder(join(MODELS, 'controlnet-tiny'), 'canny'),
      single(),
    ]);
    const expected = [
      ['controlnet', 'canny'],
      ['lora', 'style'],
      ['vae', 'tiny.vae'],
      ['embedding', 'word'],
      ['esrgan', 'x4'],
      ['checkpoint', 'tiny'],
    ];
    expect(added.map(({ kind, name }) => [kind, name])).toEqual(expected);
    const sources = open();
    await sources.refresh();
    const listed = sources.listings.slice(1).map(({ kind, name }) => [kind, name]);
    expect(listed.sort()).toEqual(expected.sort());
    // A name means a checkpoint only where a checkpoint has it.
    expect(sources.find('style')).toBeNull();
    await sources.remove('style', 'lora');
    await expect(sources.remove('x4')).rejects.toMatchObject({ code: 'not-found' });
    expect(sources.listings.map(({ name }) => name)).not.toContain('style');
  });

  test('that are no checkpoints are copied where there is no handle, and read again from there', async () => {
    const bytes = readFileSync(join(MODELS, 'loras/sd15-kohya.safetensors'));
    const lora = local('style.safetensors', bytes);
    const handle = { getFile: async () => lora.file } as unknown as FileSystemFileHandle;
    await open().add([lora, single()]);
    const sources = open();
    await sources.refresh();
    const style = sources.listings.find(({ name }) => name === 'style');
    const read = sources.open(style!).files[0]!;
    expect(await read.read(100, 50)).toEqual(new Uint8Array(bytes.subarray(100, 150)));
    const copies = async () => (await entries.keys()).filter((key) => key.startsWith('bytes:'));
    expect(await copies()).toEqual(['bytes:lora:style:0:0']);
    // A tab that was killed while it added another one.
    await entries.set('bytes:lora:style (half):0:0', new Blob(['x']));
    await open().refresh();
    expect(await copies()).toHaveLength(1);
    await sources.remove('style', 'lora');
    expect(await copies()).toEqual([]);
    await open().add([{ ...lora, handle }]);
    expect(await copies()).toEqual([]);
  });

  test('of which no copy can be kept are refused, and nothing of them is left', async () => {
    let sets = 0;
    const full: KeyValueStore = {
      ...entries,
      async set(key, value, options) {
        if (++sets > 1) throw new GenerationError('storage-full', 'no room');
        return entries.set(key, value, options);
      },
    };
    const sources = createLocalSources(base, async () => full);
    const files = folder(join(MODELS, 'controlnet-tiny'), 'canny');
    await expect(sources.add(files)).rejects.toMatchObject({ code: 'storage-full' });
    expect(await entries.keys()).toEqual([]);
    expect(sources.listings).toEqual([other]);
  });

  test.each(['loras/sd15-kohya.safetensors', 'vae-tiny.safetensors'])(
    'that are cut off are refused by name: %s',
    async (path) => {
      const bytes = readFileSync(join(MODELS, path));
      const cut = local('cut.safetensors', bytes.subarray(0, bytes.length - 100));
      await expect(open().add([cut])).rejects.toThrow('cut.safetensors');
      expect(await entries.keys()).toEqual([]);
    },
  );

  test('that the browser locked at a reload are told with their handles, until they are allowed', async () => {
    const { path, file } = single();
    let permission = 'prompt';
    const handle = {
      queryPermission: async () => permission,
      async getFile() {
        if (permission !== 'granted') throw new DOMException('locked', 'NotAllowedError');
        return file;
      },
    } as unknown as FileSystemFileHandle;
    const first = open();
    const [listing] = await first.add([
      { path, file, handle },
      local('plain.safetensors', singleFileBytes('sd15-tiny')),
    ]);
    // This tab has the file itself.
    expect(await first.locked()).toEqual([]);
    const sources = open();
    await sources.refresh();
    expect(await sources.locked()).toEqual([
      { kind: 'checkpoint', name: 'tiny', handles: [handle] },
    ]);
    await expect(sources.open(listing!).files[0]!.read(0, 1)).rejects.toThrow('"Allow again"');
    permission = 'granted';
    expect(await sources.locked()).toEqual([]);
    expect(await sources.open(listing!).files[0]!.read(0, 1)).toHaveLength(1);
  });

  test('that are none are refused by name and not listed', async () => {
    const sources = open();
    const bad = local('lora.safetensors', new Uint8Array(100));
    await expect(sources.add([bad])).rejects.toThrow('lora.safetensors');
    await sources.refresh();
    expect(sources.listings).toEqual([other]);
    expect(await entries.keys()).toEqual([]);
  });

  test('are forgotten on request', async () => {
    const sources = open();
    await sources.add([single()]);
    await sources.remove('tiny');
    expect(sources.listings).toEqual([other]);
    expect(await entries.keys()).toEqual([]);
    await expect(sources.remove('tiny')).rejects.toMatchObject({ code: 'not-found' });
  });

  test('of which a file is gone say so by name', async () => {
    const { path, file } = single();
    const sources = open();
    const [listing] = await sources.add([{ path, file }]);
    file.slice = () => {
      throw new DOMException('gone', 'NotFoundError');
    };
    await expect(sources.open(listing!).files[0]!.read(0, 1)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('tiny.safetensors can no longer be read'),
    });
  });
});
