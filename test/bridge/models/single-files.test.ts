import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { createAdaptorServer } from '@hono/node-server';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FolderModelLibrary } from '../../../bridge/models/model-library.ts';
import { modelRoutes } from '../../../bridge/routes/model-routes.ts';
import type { ModelListing } from '../../../protocol/catalog.ts';
import { openCheckpoint } from '../../../web/compiler/checkpoint.ts';
import { createModelSources } from '../../../web/engine/models/sources.ts';
import { MODELS } from '../../compiler/lib/files.ts';
import { singleFileBytes } from '../../compiler/lib/single-file.ts';
import { logLines, optionsOf, temporaryFolder } from '../support.ts';

let folder: { path: string; remove: () => void };
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

/** A library over a models folder, hashing at once. */
function library(files: Readonly<Record<string, Uint8Array | string>>, args: string[] = []) {
  const options = optionsOf(folder.path, args);
  const { checkpoint } = options.folders;
  mkdirSync(checkpoint, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(checkpoint, name), content);
  }
  const { lines, log } = logLines();
  const hashed: string[] = [];
  const models = new FolderModelLibrary({
    folders: options.folders,
    checkpointPath: options.checkpointPath,
    distFolder: join(folder.path, 'no-page'),
    engines: { list: () => [] },
    hasher: {
      get({ path }: { path: string }) {
        hashed.push(path);
        return createHash('sha256').update(path).digest('hex');
      },
    } as unknown as ConstructorParameters<typeof FolderModelLibrary>[0]['hasher'],
    log,
  });
  return { models, lines, hashed, checkpoint };
}

describe('single-file checkpoints in the models folder', () => {
  test('are listed under their stem, with the .yaml that lies beside them', async () => {
    const { models, hashed, checkpoint } = library({
      'dreamy v2.safetensors': 'weights',
      'dreamy v2.yaml': 'model:',
      'other.yaml': 'model:',
      'plain.safetensors': 'weights',
    });
    const listings = await models.list('checkpoint');
    expect(listings.map(({ name, files }) => [name, files.map(({ path }) => path)])).toEqual([
      ['dreamy v2', ['dreamy v2.safetensors', 'dreamy v2.yaml']],
      ['plain', ['plain.safetensors']],
    ]);
    const [dreamy] = listings;
    expect(dreamy).toMatchObject({ filename: join(checkpoint, 'dreamy v2.safetensors') });
    // The hash that A1111 shows is of the weights alone.
    const path = join(checkpoint, 'dreamy v2.safetensors');
    expect(models.sha256(dreamy!)).toBe(createHash('sha256').update(path).digest('hex'));
    expect(hashed).toEqual([path]);
  });

  test('given by its path it brings its .yaml too', async () => {
    const path = join(folder.path, 'given.safetensors');
    writeFileSync(path, 'weights');
    writeFileSync(join(folder.path, 'given.yaml'), 'model:');
    const { models } = library({}, ['--ckpt', path]);
    const [given] = await models.list('checkpoint');
    expect(given!.files.map((file) => file.path)).toEqual(['given.safetensors', 'given.yaml']);
  });

  test('a changed .yaml is another version of the model', async () => {
    const { models, checkpoint } = library({ 'a.safetensors': 'weights', 'a.yaml': 'model:' });
    const before = (await models.list('checkpoint'))[0]!.version;
    writeFileSync(join(checkpoint, 'a.yaml'), 'model: changed');
    await models.refresh();
    expect((await models.list('checkpoint'))[0]!.version).not.toBe(before);
  });

  test('pickled files are left out, and the log says once how to convert them', async () => {
    const { models, lines, checkpoint } = library({ 'old.ckpt': 'x', 'new.safetensors': 'x' });
    for (let i = 0; i < 2; i++) {
      const listings = await models.list('checkpoint');
      expect(listings.map(({ name }) => name)).toEqual(['new']);
      await models.refresh();
    }
    const warnings = lines.filter((line) => line.includes('pickled'));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(join(checkpoint, 'old.ckpt'));
    expect(warnings[0]).toContain('Convert it to .safetensors');
  });

  test('what is none of them is in the list of its kind, whatever it is called', async () => {
    const fixture = (name: string) => readFileSync(join(MODELS, name));
    const { models, checkpoint } = library({
      'real.safetensors': singleFileBytes('sd15-tiny'),
      'real.vae.safetensors': fixture('vae-tiny.safetensors'),
      'style.safetensors': fixture('loras/sd15-kohya.safetensors'),
      'style.yaml': 'model:',
      'word.safetensors': fixture('embeddings/sd15-ti.safetensors'),
      'x4.safetensors': fixture('esrgan/esrgan-tiny-x4.safetensors'),
      'unreadable.safetensors': 'weights',
    });
    cpSync(join(MODELS, 'controlnet-tiny'), join(checkpoint, 'canny'), { recursive: true });
    const lora = join(optionsOf(folder.path).folders.lora, 'style.safetensors');
    mkdirSync(dirname(lora), { recursive: true });
    writeFileSync(lora, fixture('loras/sd15-kohya.safetensors'));
    const names = async (kind: ModelListing['kind']) =>
      (await models.list(kind)).map(({ name }) => name);
    expect(await names('checkpoint')).toEqual(['real', 'unreadable']);
    expect(await names('vae')).toEqual(['real.vae']);
    expect(await names('lora')).toEqual(['style', 'style (2)']);
    expect(await names('embedding')).toEqual(['word']);
    expect(await names('esrgan')).toEqual(['x4']);
    expect(await names('controlnet')).toEqual(['canny']);
    // They are served under the kind that they have.
    const file = await models.file('vae', 'real.vae', 'real.vae.safetensors');
    expect(file?.path).toBe(join(checkpoint, 'real.vae.safetensors'));
    expect(await models.file('checkpoint', 'real.vae', 'real.vae.safetensors')).toBeNull();
    const index = await models.index();
    const stray = index.find(({ name }) => name === 'style (2)');
    expect(stray).toMatchObject({
      url: 'easel/v1/models/lora/style%20(2)/',
      filename: join(checkpoint, 'style.safetensors'),
      files: [{ path: 'style.safetensors' }],
    });
  });

  test('one goes from the folder through the bridge into the compiler of a tab', async () => {
    const { models } = library({
      'my model.safetensors': singleFileBytes('sd2-tiny'),
      'my model.yaml': 'model:\n  params:\n    parameterization: "v"\n    scale_factor: 0.2\n',
    });
    const server = createAdaptorServer({ fetch: modelRoutes(models).fetch });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    try {
      const { port } = server.address() as AddressInfo;
      const baseUrl = `http://127.0.0.1:${port}/`;
      const sources = createModelSources({ baseUrl, hasBridge: true });
      await sources.refresh();
      const listing = sources.find('My model.safetensors');
      const checkpoint = await openCheckpoint(sources.open(listing!));
      expect(checkpoint.name).toBe('my model');
      expect(checkpoint.description).toMatchObject({
        family: 'sd2',
        predictionType: 'v_prediction',
        scalingFactor: 0.2,
        notes: [],
      });
    } finally {
      server.close();
    }
  });
});
