import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelListing } from '../../../protocol/catalog.ts';
import {
  createModelSources,
  defaultCheckpoint,
  sourceIdentity,
  toCheckpointInfo,
} from '../../../web/engine/models/sources.ts';

const listing = (name: string, change: Partial<ModelListing> = {}): ModelListing => ({
  kind: 'checkpoint',
  name,
  source: 'bridge',
  filename: `/models/${name}`,
  url: `easel/v1/models/${name}/`,
  files: [
    { path: 'a b/model #1.safetensors', sizeBytes: 3 },
    { path: 'config.json', sizeBytes: 4 },
  ],
  version: 'v1',
  ...change,
});

let server: Server;
let baseUrl = '';
const answers = new Map<string, { status?: number; body: string }>();
const requests: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    const answer = answers.get(request.url ?? '');
    response.writeHead(answer ? (answer.status ?? 200) : 404).end(answer?.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/sub/path/`;
});
afterAll(() => server.close());

describe('where models come from', () => {
  test('the page’s own and the bridge’s, below the page’s path; the first of a name stays', async () => {
    const own = listing('easel-tiny', { source: 'embedded', url: 'models/easel-tiny/' });
    answers.set('/sub/path/models/index.json', { body: JSON.stringify({ models: [own] }) });
    answers.set('/sub/path/easel/v1/models', {
      body: JSON.stringify({ models: [listing('easel-tiny'), listing('other')] }),
    });
    const sources = createModelSources({ baseUrl, hasBridge: true });
    expect(sources.listings).toEqual([]);
    await sources.refresh();
    expect(sources.listings.map(({ name, source }) => [name, source])).toEqual([
      ['easel-tiny', 'embedded'],
      ['other', 'bridge'],
    ]);
    expect(defaultCheckpoint(sources).name).toBe('easel-tiny');
  });

  test('without a bridge it is not asked', async () => {
    requests.length = 0;
    await createModelSources({ baseUrl, hasBridge: false }).refresh();
    expect(requests).toEqual(['/sub/path/models/index.json']);
  });

  test.each([
    ['is missing', undefined],
    ['is a web page', { body: '<!doctype html>' }],
    ['is malformed', { body: '{"models":[{"name":1}]}' }],
  ])('a list that %s has no models, and the others still count', async (_, answer) => {
    if (answer) answers.set('/sub/path/models/index.json', answer);
    else answers.delete('/sub/path/models/index.json');
    const sources = createModelSources({ baseUrl, hasBridge: true });
    expect((await sources.refresh()).map(({ name }) => name)).toEqual(['easel-tiny', 'other']);
  });

  test('with nothing at all there is no default', async () => {
    const sources = createModelSources({ baseUrl: `${baseUrl}none/`, hasBridge: true });
    await sources.refresh();
    expect(() => defaultCheckpoint(sources)).toThrow(/put a \.safetensors file/);
  });

  test('a checkpoint is found by name, by file name, in either case; a LoRA is none', async () => {
    answers.set('/sub/path/models/index.json', {
      body: JSON.stringify({ models: [listing('Deliberate_v2'), listing('x', { kind: 'lora' })] }),
    });
    const sources = createModelSources({ baseUrl, hasBridge: false });
    await sources.refresh();
    for (const name of ['Deliberate_v2', 'deliberate_V2', ' Deliberate_v2.safetensors']) {
      expect(sources.find(name)?.name).toBe('Deliberate_v2');
    }
    expect(sources.find('x')).toBeNull();
    expect(sources.find('Deliberate')).toBeNull();
  });

  test('files are opened below the listing’s address, names escaped', async () => {
    requests.length = 0;
    const sources = createModelSources({ baseUrl, hasBridge: false });
    const { files } = sources.open(listing('other'));
    answers.set('/sub/path/easel/v1/models/other/a%20b/model%20%231.safetensors', { body: 'abc' });
    expect(files.map(({ path, sizeBytes }) => [path, sizeBytes])).toEqual([
      ['a b/model #1.safetensors', 3],
      ['config.json', 4],
    ]);
    expect(await files[0]!.read(1, 2)).toEqual(Uint8Array.of(98, 99));
  });

  test('another version, size or place is another identity', () => {
    const base = sourceIdentity(listing('m'));
    expect(sourceIdentity(listing('m', { filename: 'elsewhere' }))).toBe(base);
    expect(sourceIdentity(listing('m', { version: 'v2' }))).not.toBe(base);
    expect(sourceIdentity(listing('m', { url: 'x/' }))).not.toBe(base);
    const files = [{ path: 'config.json', sizeBytes: 5 }];
    expect(sourceIdentity(listing('m', { files }))).not.toBe(base);
  });

  test('the catalogue shows a model’s whole size', () => {
    expect(toCheckpointInfo(listing('m'), null)).toEqual({
      name: 'm',
      source: 'bridge',
      filename: '/models/m',
      sha256: null,
      sizeBytes: 7,
    });
  });
});
