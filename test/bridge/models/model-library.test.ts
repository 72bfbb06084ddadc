import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Hasher } from '../../../bridge/models/hasher.ts';
import { FolderModelLibrary } from '../../../bridge/models/model-library.ts';
import type { EngineView } from '../../../bridge/services.ts';
import { modelIndex } from '../../../protocol/catalog.ts';
import { FAKE_CATALOG, fakeStatus } from '../../fakes/tab-frames.ts';
import { fakeDist, logLines, optionsOf, temporaryFolder } from '../support.ts';

let folder: ReturnType<typeof temporaryFolder>;
let hasher: Hasher;
let now = 0;
let engines: EngineView[];

beforeEach(() => {
  folder = temporaryFolder();
  engines = [];
  now = 1_000_000;
});
afterEach(async () => {
  await hasher?.close();
  folder.remove();
});

const sha = (data: string) => createHash('sha256').update(data).digest('hex');
function put(path: string, data = path): string {
  const full = join(folder.path, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, data);
  return full;
}

async function library({
  checkpointPath = null as string | null,
  isBusy = (): boolean => false,
} = {}) {
  const { log } = logLines();
  hasher = await Hasher.open({ cachePath: join(folder.path, 'hashes.json'), log, isBusy });
  return new FolderModelLibrary({
    folders: optionsOf(folder.path).folders,
    checkpointPath,
    distFolder: fakeDist(folder.path),
    engines: { list: () => engines },
    hasher,
    log,
    now: () => now,
  });
}

const names = async (
  models: FolderModelLibrary,
  kind: Parameters<FolderModelLibrary['list']>[0] = 'checkpoint',
) => (await models.list(kind)).map(({ name }) => name);

describe('the model library', () => {
  it('lists files and diffusers folders of every kind by stem, pickles and hidden files never', async () => {
    put('models/Stable-diffusion/one.safetensors');
    put('models/Stable-diffusion/sub/two.safetensors');
    put('models/Stable-diffusion/old.ckpt');
    put('models/Stable-diffusion/.hidden.safetensors');
    put('models/Stable-diffusion/diff/model_index.json', '{}');
    put('models/Stable-diffusion/diff/unet/model.safetensors');
    put('models/Stable-diffusion/diff/unet/model.bin');
    put('models/Stable-diffusion/diff/tokenizer/merges.txt');
    put('models/Lora/style.safetensors');
    put('models/VAE/good.safetensors');
    put('models/embeddings/bad-hands.safetensors');
    put('models/ESRGAN/x4.safetensors');
    put('models/ControlNet/canny/config.json', '{}');
    put('models/ControlNet/canny/model.safetensors');
    put('models/VAE-approx/taesd.safetensors');
    const models = await library();
    expect(await names(models)).toEqual(['easel-tiny', 'one', 'diff', 'two']);
    const kinds = ['lora', 'vae', 'embedding', 'esrgan', 'controlnet', 'taesd'] as const;
    const found = await Promise.all(kinds.map((kind) => names(models, kind)));
    expect(found).toEqual([['style'], ['good'], ['bad-hands'], ['x4'], ['canny'], ['taesd']]);
    const index = modelIndex.parse({ models: await models.index() });
    expect(index.models).toHaveLength(9);
    expect(index.models.every(({ source }) => source === 'bridge')).toBe(true);
    const diff = index.models.find(({ name }) => name === 'diff')!;
    expect(diff.files.map(({ path }) => path)).toEqual([
      'model_index.json',
      'tokenizer/merges.txt',
      'unet/model.safetensors',
    ]);
    expect(diff.url).toBe('easel/v1/models/checkpoint/diff/');
    expect(diff.filename).toBe(join(folder.path, 'models/Stable-diffusion/diff'));
  });

  it('finds new files without a restart, and gives a changed file another version', async () => {
    const path = put('models/Stable-diffusion/one.safetensors', 'a');
    const models = await library();
    const version = async () => (await models.index()).find(({ name }) => name === 'one')?.version;
    const before = await version();
    put('models/Stable-diffusion/late.safetensors');
    writeFileSync(path, 'longer');
    expect(await names(models)).toEqual(['easel-tiny', 'one']);
    now += 1_001;
    expect(await names(models)).toEqual(['easel-tiny', 'late', 'one']);
    expect(await version()).not.toBe(before);
    rmSync(path);
    await models.refresh();
    expect(await names(models)).toEqual(['easel-tiny', 'late']);
  });

  it('keeps names apart', async () => {
    put('models/Stable-diffusion/a/model.safetensors');
    put('models/Stable-diffusion/b/model.safetensors');
    put('models/Stable-diffusion/b/Model.safetensors');
    const models = await library();
    const found = await names(models);
    expect(new Set(found.map((name) => name.toLowerCase())).size).toBe(found.length);
    expect(found).toContain('model');
    expect(found).toContain('b/Model');
    for (const name of found.filter((name) => name !== 'easel-tiny')) {
      const listing = (await models.list('checkpoint')).find(
        (candidate) => candidate.name === name,
      )!;
      expect(await models.file('checkpoint', name, listing.files[0]!.path)).not.toBeNull();
    }
  });

  it('follows links, also in circles', async () => {
    put('elsewhere/linked.safetensors');
    mkdirSync(join(folder.path, 'models/Stable-diffusion'), { recursive: true });
    symlinkSync(join(folder.path, 'elsewhere'), join(folder.path, 'models/Stable-diffusion/more'));
    symlinkSync(
      join(folder.path, 'models/Stable-diffusion'),
      join(folder.path, 'models/Stable-diffusion/circle'),
    );
    symlinkSync('/nowhere', join(folder.path, 'models/Stable-diffusion/dead.safetensors'));
    expect(await names(await library())).toContain('linked');
  });

  it('takes the checkpoint given by its path, first and under its own name', async () => {
    put('models/Stable-diffusion/mine.safetensors');
    const path = put('other/mine.safetensors');
    const models = await library({ checkpointPath: path });
    const mine = (await models.list('checkpoint')).filter(({ name }) => name === 'mine');
    expect(mine.map(({ filename }) => filename)).toEqual([path]);
  });

  it('lists LoRAs, VAEs and the rest that lie on the disk of a tab’s user, and no others of a tab', async () => {
    put('models/Lora/both.safetensors');
    const info = { filename: '', sha256: null, sizeBytes: 5 };
    const inTab = (kind: 'lora' | 'vae', name: string, source: 'browser' | 'bridge' = 'browser') =>
      ({ ...info, kind, name, source }) as const;
    const kept = [inTab('lora', 'dropped'), inTab('lora', 'both'), inTab('vae', 'soft')];
    // A tab's list may be older than the folder: what lay there once is not there now.
    const catalog = { ...FAKE_CATALOG, models: [...kept, inTab('lora', 'gone', 'bridge')] };
    engines = [{ id: 'e1', status: fakeStatus(), catalog }];
    const models = await library();
    expect(await names(models, 'lora')).toEqual(['both', 'dropped']);
    expect(await names(models, 'vae')).toEqual(['soft']);
    expect(await names(models, 'embedding')).toEqual([]);
    expect((await models.index()).map(({ name }) => name)).toEqual(['both']);
    const [dropped] = (await models.list('lora')).slice(1);
    expect(await models.summary(dropped!)).toBeNull();
    engines = [];
    expect(await names(models, 'lora')).toEqual(['both']);
  });

  it('lists what only a tab has, once, with the hash that the tab knows', async () => {
    const checkpoint = {
      ...FAKE_CATALOG.checkpoints[0]!,
      name: 'dropped',
      source: 'browser' as const,
      filename: 'dropped.safetensors',
    };
    engines = [
      {
        id: 'e1',
        status: fakeStatus(),
        catalog: { checkpoints: [...FAKE_CATALOG.checkpoints, checkpoint] },
      },
    ];
    const models = await library();
    const listings = await models.list('checkpoint');
    expect(listings.map(({ name, source }) => [name, source])).toEqual([
      ['easel-tiny', 'embedded'],
      ['dropped', 'browser'],
    ]);
    expect(models.sha256(listings[1]!)).toBe('ab'.repeat(32));
  });

  it('lists a LoRA that the page carries before those of the folders', async () => {
    put('models/Lora/style.safetensors');
    const models = await library();
    const path = 'fast.safetensors';
    const listing = {
      ...{ kind: 'lora', name: 'fast', source: 'embedded', url: 'models/', version: 'v1' },
      ...{ filename: `models/${path}`, files: [{ path, sizeBytes: 4 }] },
    };
    put(`dist/models/${path}`, 'fast');
    put('dist/models/index.json', JSON.stringify({ models: [listing] }));
    expect(await models.list('lora')).toMatchObject([listing, { name: 'style', source: 'bridge' }]);
    // The tab fetches it from the page itself.
    expect((await models.index()).map(({ name }) => name)).toEqual(['style']);
  });

  it('serves listed files and no other', async () => {
    put('models/Stable-diffusion/one.safetensors', 'weights');
    put('models/Stable-diffusion/diff/model_index.json', '{}');
    put('models/Stable-diffusion/diff/secret.key');
    put('models/secret.safetensors');
    const models = await library();
    const found = await models.file('checkpoint', 'one', 'one.safetensors');
    expect(readFileSync(found!.path, 'utf8')).toBe('weights');
    for (const [kind, name, path] of [
      ['checkpoint', 'one', '../secret.safetensors'],
      ['checkpoint', '..', 'secret.safetensors'],
      ['checkpoint', 'diff', 'secret.key'],
      ['checkpoint', 'diff', '../one.safetensors'],
      ['checkpoint', 'diff', './model_index.json'],
      ['checkpoint', 'one', ''],
      ['lora', 'one', 'one.safetensors'],
      ['__proto__', 'one', 'one.safetensors'],
    ] as const) {
      expect(await models.file(kind, name, path), `${kind} ${name} ${path}`).toBeNull();
    }
  });
});

describe('hashes', () => {
  it('are computed in the background and never waited for', async () => {
    put('models/Stable-diffusion/one.safetensors', 'weights');
    const models = await library();
    const [, one] = await models.list('checkpoint');
    expect(models.sha256(one!)).toBeNull();
    await hasher.idle();
    expect(models.sha256(one!)).toBe(sha('weights'));
  });

  it('of a folder cover every file', async () => {
    put('models/Stable-diffusion/diff/model_index.json', '{}');
    put('models/Stable-diffusion/diff/unet/model.safetensors', 'weights');
    const models = await library();
    const listing = (await models.list('checkpoint')).find(({ name }) => name === 'diff')!;
    expect(models.sha256(listing)).toBeNull();
    await hasher.idle();
    expect(models.sha256(listing)).toBe(sha([sha('{}'), sha('weights')].sort().join('\n')));
  });

  it('are remembered across restarts, by size and time', async () => {
    const path = put('models/Stable-diffusion/one.safetensors', 'weights');
    let models = await library();
    models.sha256((await models.list('checkpoint'))[1]!);
    await hasher.idle();
    await hasher.close();
    models = await library();
    expect(models.sha256((await models.list('checkpoint'))[1]!)).toBe(sha('weights'));
    writeFileSync(path, 'WEIGHTS');
    utimesSync(path, new Date(), new Date(Date.now() + 60_000));
    now += 2_000;
    expect(models.sha256((await models.list('checkpoint'))[1]!)).toBeNull();
    await hasher.idle();
    expect(models.sha256((await models.list('checkpoint'))[1]!)).toBe(sha('WEIGHTS'));
  });

  it('wait while something better is under way, and stop when asked', async () => {
    put('models/Stable-diffusion/one.safetensors', 'weights');
    const models = await library({ isBusy: () => true });
    const one = (await models.list('checkpoint'))[1]!;
    expect(models.sha256(one)).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(models.sha256(one)).toBeNull();
    await hasher.close();
  });
});
