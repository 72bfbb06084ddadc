import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { GENERATION_DEFAULTS } from '../../../protocol/generation.ts';
import { createLocalEngine } from '../../../web/engine/local-engine.ts';
import { createMemoryStore } from '../../../web/engine/models/key-value-store.ts';
import { createLocalSources } from '../../../web/engine/models/local-sources.ts';
import { readArchive, writeArchive } from '../../../web/engine/models/model-archive.ts';
import { importArchive } from '../../../web/engine/models/model-import.ts';
import {
  createModelStore,
  type ModelStoreOptions,
} from '../../../web/engine/models/model-store.ts';
import type { ExportedModel } from '../../../web/shared/engine.ts';
import { type NodeAccessOptions, nodeAccess, nodeRuntime } from '../../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../../fakes/engine-config.ts';
import { NO_SOURCES } from '../../fakes/no-sources.ts';

const PARAMS = {
  ...GENERATION_DEFAULTS,
  ...{ prompt: 'a cat', width: 64, height: 64, steps: 1, seed: 4 },
};
const RUNTIME_VERSION = nodeRuntime().version;

/** A tab with the whole engine. */
function start(options: NodeAccessOptions = {}, config: Partial<typeof ENGINE_CONFIG> = {}) {
  const access = nodeAccess(options);
  const engine = createLocalEngine({ ...ENGINE_CONFIG, ...config }, access);
  const picture = async (checkpoint: string) => {
    let bytes: Uint8Array | null = null;
    await engine.generate(
      { ...PARAMS, checkpoint },
      {
        onImage: () => {
          bytes = Uint8Array.from(access.pictures.at(-1)!.data);
        },
      },
    );
    return bytes;
  };
  return { access, engine, picture };
}

let exported: ExportedModel;
let original: Uint8Array | null;
let bytes: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  const { engine, picture } = start();
  original = await picture('sd15-tiny');
  const [model] = await engine.listCompiled();
  expect(model).toMatchObject({ isExportable: true });
  exported = await engine.exportCompiled(model!.key);
  bytes = new Uint8Array(await exported.file.arrayBuffer());
});

/** A browser with nothing in it. */
function emptyBrowser(options: ModelStoreOptions = {}) {
  const [entries, files] = [createMemoryStore(), createMemoryStore()];
  const store = createModelStore(entries, options);
  const sources = createLocalSources(NO_SOURCES, async () => files);
  const take = (file: Blob) =>
    importArchive(file, {
      ...{ store, sources, runtimeVersion: RUNTIME_VERSION },
      objection: () => null,
      onActivity: () => {},
    });
  const left = async () => [...(await entries.keys()), ...(await files.keys())];
  return { store, sources, take, left };
}

interface Header {
  manifest: {
    key: string;
    origin: { compilerVersion: number; runtimeVersion: string; precision: string };
    formatVersion: number;
    chunkBytes: number;
    model: { components: { weights: Record<string, { offset: number }> }[] };
  };
  format: string;
}

/** The file with another header, itself in order. */
function withHeader(change: (header: Header) => void): Blob {
  const length = new DataView(bytes.buffer).getUint32(8, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(44, 44 + length)));
  change(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const prelude = bytes.slice(0, 44);
  new DataView(prelude.buffer).setUint32(8, text.length, true);
  prelude.set(createHash('sha256').update(text).digest(), 12);
  return new Blob([prelude, text, bytes.subarray(44 + length)]);
}

function flipped(at: number): Blob {
  const damaged = bytes.slice();
  damaged[at]! ^= 1;
  return new Blob([damaged]);
}

describe('a compiled model as one file', () => {
  test('makes the same picture in another browser, where no source is read and nothing is compiled', async () => {
    expect(exported.fileName).toBe('sd15-tiny-fp32.easel');
    const { engine, access, picture } = start();
    const states: string[] = [];
    engine.onStatus(({ state }) => states.push(state));
    // The name is taken there, by a checkpoint of which nothing is known yet.
    const imported = await engine.importCompiled(exported.file);
    expect(imported).toEqual({ kind: 'checkpoint', name: 'sd15-tiny (2)', notes: [] });
    const listed: string[] = [];
    engine.onCatalog(({ checkpoints }) => listed.push(...checkpoints.map(({ name }) => name)));
    expect(listed).toEqual(['sd15-tiny', 'sd15-tiny (2)']);
    expect(await picture('sd15-tiny (2)')).toEqual(original);
    expect(access.reads).toEqual([]);
    expect(states).not.toContain('compiling');
  });

  test('is known as what is listed already where that has the same content', async () => {
    const { engine, access, picture } = start();
    await picture('sd15-tiny');
    const [model] = await engine.listCompiled();
    await engine.deleteCompiled(model!.key);
    const imported = await engine.importCompiled(exported.file);
    expect(imported.name).toBe('sd15-tiny');
    access.reads.length = 0;
    expect(await picture('sd15-tiny')).toEqual(original);
    expect(access.reads).toEqual([]);
    // Once more: it is there.
    expect((await engine.importCompiled(exported.file)).name).toBe('sd15-tiny');
    expect(await engine.listCompiled()).toHaveLength(1);
  });

  test('says where this engine would not use it', async () => {
    const { engine } = start({}, { precision: 'q8' });
    const { notes } = await engine.importCompiled(exported.file);
    expect(notes).toEqual([expect.stringMatching(/compiled in fp32.*uses q8.*--precision fp32/)]);
  });

  test('says what a LoRA over it would need', async () => {
    const { sources, take } = emptyBrowser();
    await take(exported.file);
    const [listing] = await sources.refresh();
    await expect(sources.open(listing!).files[0]!.read(0, 8)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('sd15-tiny was imported compiled'),
    });
  });

  test('D3 is written and read without more than a chunk of it in memory', async () => {
    const reads: number[] = [];
    const watched = (file: Blob): Blob =>
      new Proxy(file, {
        get(target, name: keyof Blob) {
          if (name === 'slice') {
            return (from: number, to: number) => {
              reads.push(to - from);
              return target.slice(from, to);
            };
          }
          if (name === 'arrayBuffer' || name === 'stream') throw new Error(`${name} of all of it`);
          const value = target[name];
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    const { take, store } = emptyBrowser({ chunkBytes: 4 * 2 ** 20 });
    await take(watched(exported.file));
    expect(Math.max(...reads)).toBeLessThanOrEqual(8 * 2 ** 20);
    expect(reads.reduce((sum, size) => sum + size, 0)).toBeLessThan(1.2 * exported.file.size);
    // What leaves again is the same, whatever the store's own chunks are.
    const [model] = await store.list();
    const again = await writeArchive(store, model!.key);
    const { dataOffset } = await readArchive(exported.file, RUNTIME_VERSION);
    const { dataOffset: from } = await readArchive(again.file, RUNTIME_VERSION);
    const sha256 = async (blob: Blob) =>
      createHash('sha256')
        .update(new Uint8Array(await blob.arrayBuffer()))
        .digest('hex');
    expect(await sha256(again.file.slice(from))).toBe(
      await sha256(exported.file.slice(dataOffset)),
    );
  });
});

describe('a file that is not in order is refused, and nothing of it is kept', () => {
  const length = () => new DataView(bytes.buffer).getUint32(8, true);

  test.each<[string, () => Blob, string, string]>([
    [
      'another file',
      () => new Blob(['PK not this at all, and long enough for a prelude']),
      'invalid-model',
      'is no compiled model',
    ],
    ['an empty one', () => new Blob([]), 'invalid-model', 'is no compiled model'],
    [
      'one byte of the header',
      () => flipped(60),
      'invalid-model',
      'its header is not what was written',
    ],
    [
      'one byte of the first chunk',
      () => flipped(44 + length() + 5),
      'invalid-model',
      'chunk 1 of shard 1 of text_encoder has other bytes',
    ],
    [
      'the last byte',
      () => flipped(bytes.length - 1),
      'invalid-model',
      'of vae_decoder has other bytes',
    ],
    ['one byte less', () => new Blob([bytes.subarray(0, -1)]), 'invalid-model', 'it is cut short'],
    [
      'half of it',
      () => new Blob([bytes.subarray(0, bytes.length / 2)]),
      'invalid-model',
      'it is cut short',
    ],
    ['one byte more', () => new Blob([bytes, 'x']), 'invalid-model', 'it has'],
    [
      'a header without end',
      () => new Blob([bytes.subarray(0, 8), Uint8Array.of(255, 255, 255, 255), bytes.subarray(12)]),
      'invalid-model',
      'claims a header of 4294967295 bytes',
    ],
    [
      'another compiler',
      () =>
        withHeader(({ manifest }) => {
          manifest.origin.compilerVersion += 1;
        }),
      'unsupported',
      'compiled by compiler version',
    ],
    [
      'another runtime',
      () =>
        withHeader(({ manifest }) => {
          manifest.origin.runtimeVersion = 'onnxruntime-web 9';
        }),
      'unsupported',
      'compiled for onnxruntime-web 9',
    ],
    [
      'a later form',
      () =>
        withHeader(({ manifest }) => {
          manifest.formatVersion += 1;
        }),
      'unsupported',
      'in another form',
    ],
    [
      'a key of something else',
      () =>
        withHeader(({ manifest }) => {
          manifest.key = 'f'.repeat(64);
        }),
      'invalid-model',
      'its key is not that',
    ],
    [
      'a precision that it was not made in',
      () =>
        withHeader(({ manifest }) => {
          manifest.origin.precision = 'q4';
        }),
      'invalid-model',
      'its key is not that',
    ],
    [
      'chunks too large for a tab',
      () =>
        withHeader(({ manifest }) => {
          manifest.chunkBytes = 2 ** 31;
        }),
      'invalid-model',
      'its chunks have',
    ],
    [
      'a weight outside of its shard',
      () =>
        withHeader(({ manifest }) => {
          Object.values(manifest.model.components[0]!.weights)[0]!.offset = 2 ** 40;
        }),
      'invalid-model',
      'lies outside of its shard',
    ],
    [
      'a header of other fields',
      () =>
        withHeader((header) => {
          header.format = 'zip';
        }),
      'invalid-model',
      'none of a compiled model',
    ],
  ])('%s', async (_, file, code, message) => {
    const { take, left } = emptyBrowser();
    await expect(take(file())).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
    expect(await left()).toEqual([]);
  });

  test('where there is no room for it, before its first chunk', async () => {
    const use = { usedBytes: 0, quotaBytes: exported.file.size };
    const { take, left } = emptyBrowser({ storageUse: async () => use });
    await expect(take(exported.file)).rejects.toMatchObject({
      code: 'storage-full',
      message: expect.stringMatching(/sd15-tiny takes .* Delete compiled models or pictures/),
    });
    expect(await left()).toEqual([]);
  });

  test('when it is broken off', async () => {
    const { store, sources, left } = emptyBrowser();
    const abort = new AbortController();
    const taking = importArchive(exported.file, {
      ...{ store, sources, runtimeVersion: RUNTIME_VERSION, signal: abort.signal },
      objection: () => null,
      onActivity: ({ done }) => done > 0.4 && abort.abort(),
    });
    await expect(taking).rejects.toMatchObject({ name: 'AbortError' });
    expect(await left()).toEqual([]);
  });
});

describe('what cannot be exported says why', () => {
  test('a model that is gone', async () => {
    const { store } = emptyBrowser();
    await expect(writeArchive(store, 'k')).rejects.toMatchObject({ code: 'not-found' });
  });

  test('a model that is damaged', async () => {
    const entries = createMemoryStore();
    await start({ entries }).picture('sd15-tiny');
    const chunk = (await entries.keys()).find((key) => key.startsWith('chunk:'))!;
    const size = ((await entries.get(chunk)) as Blob).size;
    await entries.set(chunk, new Blob([new Uint8Array(size)]));
    const store = createModelStore(entries);
    const [model] = await store.list();
    await expect(writeArchive(store, model!.key)).rejects.toMatchObject({
      code: 'invalid-model',
      message: expect.stringContaining('was damaged'),
    });
  });
});
