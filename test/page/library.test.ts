import { unzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import type { OutputEntry } from '../../protocol/outputs.ts';
import { createBridgeApi } from '../../web/page/bridge-api.ts';
import {
  createGalleryState,
  loadOutputs,
  packPictures,
  removePictures,
} from '../../web/page/gallery.ts';
import { filterChoices, filterPictures, NO_FILTER } from '../../web/page/gallery-filter.ts';
import {
  clearSelection,
  selectAll,
  selectRange,
  toggleSelected,
} from '../../web/page/gallery-selection.ts';
import { createGalleryStore } from '../../web/page/gallery-store.ts';
import { createOutputStore, infoOfOutput, isOutput, withOutputs } from '../../web/page/outputs.ts';
import type { PictureInfo } from '../../web/page/picture.ts';
import { MAX_ZIP_BYTES } from '../../web/page/zip-pictures.ts';
import { MapShelf, mapShelves } from '../fakes/map-shelves.ts';

const INFOTEXT =
  'a red apple\nNegative prompt: blurry\nSteps: 4, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.0, Seed: 11, Size: 64x32, Model: tiny';

const entry = (path: string, changes: Partial<OutputEntry> = {}): OutputEntry => ({
  ...{ path, savedAt: 1_000, sizeBytes: 10, width: 64, height: 32 },
  ...{ infotext: INFOTEXT, isDamaged: false },
  ...changes,
});

const picture = (id: string, changes: Partial<PictureInfo> = {}): PictureInfo => ({
  ...infoOfOutput(entry('a.png')),
  ...{ id, fileName: `${id}.png` },
  ...changes,
});

/** A bridge with these pictures, two a page; `locked` ones cannot be deleted, `isAway` answers nothing. */
function setUp(entries: readonly OutputEntry[]) {
  const bridge = { entries: [...entries], locked: new Set<string>(), isAway: false };
  const requests: string[] = [];
  const fetchImpl = (async (input: string | URL | Request, init: RequestInit = {}) => {
    if (bridge.isAway) throw new TypeError('failed to fetch');
    const url = new URL(String(input));
    const path = url.pathname.replace('/easel/v1/', '');
    requests.push(`${init.method ?? 'GET'} ${path}${url.search}`);
    if (path === 'engine-token') return Response.json({ token: 'key' });
    if (path === 'outputs') {
      const from = Number(url.searchParams.get('after') ?? 0);
      const pictures = bridge.entries.slice(from, from + 2);
      const next = from + 2 < bridge.entries.length ? String(from + 2) : null;
      return Response.json({ total: bridge.entries.length, pictures, next });
    }
    if (path === 'outputs/delete') {
      expect(new Headers(init.headers).get('x-easel-token')).toBe('key');
      const { paths } = JSON.parse(String(init.body)) as { paths: string[] };
      const deleted = paths.filter((name) => !bridge.locked.has(name));
      bridge.entries = bridge.entries.filter((one) => !deleted.includes(one.path));
      const failed = paths
        .filter((name) => bridge.locked.has(name))
        .map((name) => ({ path: name, message: 'no' }));
      return Response.json({ deleted, failed });
    }
    return new Response(`file of ${decodeURIComponent(path)}`);
  }) as typeof fetch;
  const thumbs = new MapShelf();
  const made: number[] = [];
  const outputs = createOutputStore(createBridgeApi('http://localhost:7860/', { fetchImpl }), {
    thumbs,
    makeThumb: async (file) => {
      made.push(file.size);
      return new Blob(['thumb']);
    },
  });
  const state = createGalleryState();
  const store = withOutputs(createGalleryStore(mapShelves()), outputs);
  return { bridge, requests, outputs, state, store, thumbs, made };
}

const idsOf = (pictures: readonly PictureInfo[] | null) => pictures?.map(({ id }) => id);

describe('the output folder in the gallery', () => {
  it('is read page by page and stands among this browser’s pictures by date', async () => {
    const entries = ['c', 'b', 'a'].map((name, at) => entry(name, { savedAt: 300 - at * 100 }));
    const { state, outputs, requests } = setUp(entries);
    state.pictures.value = [picture('own', { createdAt: 250 })];
    await loadOutputs(state, outputs);
    expect(idsOf(state.all.value)).toEqual(['output:c', 'own', 'output:b', 'output:a']);
    expect(requests).toEqual(['GET outputs', 'GET outputs?after=2']);
  });

  it('says so where the bridge is away, and keeps what this browser has', async () => {
    const { state, outputs, bridge } = setUp([entry('a')]);
    state.pictures.value = [picture('own')];
    bridge.isAway = true;
    await loadOutputs(state, outputs);
    expect(state.problem.value).toBe('outputs-unreadable');
    expect(idsOf(state.all.value)).toEqual(['own']);
    bridge.isAway = false;
    await loadOutputs(state, outputs);
    expect(state.problem.value).toBeNull();
    expect(state.all.value).toHaveLength(2);
  });

  it('knows a picture by its infotext, and shows one without', () => {
    expect(infoOfOutput(entry('20260101/x.png'))).toMatchObject({
      ...{ fileName: 'x.png', prompt: 'a red apple', negativePrompt: 'blurry', seed: 11, steps: 4 },
      ...{ sampler: 'DPM++ 2M', scheduler: 'automatic', guidanceScale: 7, checkpoint: 'tiny' },
    });
    const bare = infoOfOutput(entry('x.png', { infotext: '', width: null, height: null }));
    expect(bare).toMatchObject({ prompt: '', seed: 0, width: 0, sampler: '', checkpoint: null });
  });

  it('draws a small picture once and keeps it', async () => {
    const { store, made, requests } = setUp([]);
    const id = 'output:a & b.png';
    expect(await (await store.thumb(id))?.text()).toBe('thumb');
    await store.thumb(id);
    expect(made).toHaveLength(1);
    expect(requests).toEqual([`GET outputs/files/${encodeURIComponent('a & b.png')}`]);
    expect((await store.file(id))?.type).toBe('image/png');
  });

  it('deletes in both places; what cannot be deleted stays, and the others are gone', async () => {
    const { state, store, outputs, bridge } = setUp([entry('a'), entry('b')]);
    await store.keep({ info: picture('own'), file: new Blob(['x']) }, null);
    state.pictures.value = [picture('own')];
    await loadOutputs(state, outputs);
    selectAll(state.selection, state.matching);
    bridge.locked.add('b');
    await removePictures(state, store, ['own', 'output:a', 'output:b']);
    expect(idsOf(state.all.value)).toEqual(['output:b']);
    expect(state.problem.value).toBe('outputs-not-removed');
    expect([...state.selection.ids.value]).toEqual(['output:b']);
    expect(await store.file('own')).toBeNull();
    bridge.isAway = true;
    await removePictures(state, store, ['output:b']);
    expect(idsOf(state.all.value)).toEqual(['output:b']);
  });
});

describe('the filter', () => {
  const now = new Date(2026, 10, 24, 12);
  const at = (day: number, hour = 0) => new Date(2026, 10, day, hour).getTime();
  const pictures = [
    picture('today', { createdAt: at(24), width: 512, height: 512 }),
    picture('yesterday', { createdAt: at(23, 23), sampler: 'Euler' }),
    picture('output:week', { createdAt: at(18) }),
    picture('output:month', { createdAt: at(17, 23), checkpoint: 'other' }),
    picture('old', { createdAt: new Date(2026, 5, 1).getTime() }),
  ];
  it.each([
    [{ period: 'today' }, ['today']],
    [{ period: 'week' }, ['today', 'yesterday', 'output:week']],
    [{ period: 'month' }, ['today', 'yesterday', 'output:week', 'output:month']],
    [{ period: 'older' }, ['old']],
    [{ place: 'folder' }, ['output:week', 'output:month']],
    [{ place: 'browser', query: 'APPLE' }, ['today', 'yesterday', 'old']],
    [{ checkpoint: 'other' }, ['output:month']],
    [{ sampler: 'Euler' }, ['yesterday']],
    [{ size: '512 × 512' }, ['today']],
    [{ size: '512 × 512', sampler: 'Euler' }, []],
  ] as const)('%j', (changes, expected) => {
    expect(idsOf(filterPictures(pictures, { ...NO_FILTER, ...changes }, now))).toEqual(expected);
  });

  it('offers what there is', () => {
    expect(filterChoices([...pictures, picture('x', { width: 0, checkpoint: null })])).toEqual({
      checkpoints: ['other', 'tiny'],
      samplers: ['DPM++ 2M', 'Euler'],
      sizes: ['64 × 32', '512 × 512'],
    });
  });
});

describe('the selection', () => {
  it('takes one, a range in either direction, all and none', () => {
    const { selection, matching, pictures } = createGalleryState();
    pictures.value = ['a', 'b', 'c', 'd', 'e'].map((id) => picture(id));
    const ids = () => [...selection.ids.value].sort().join('');
    toggleSelected(selection, 'd');
    selectRange(selection, matching, 'b');
    expect(ids()).toBe('bcd');
    toggleSelected(selection, 'c');
    expect(ids()).toBe('bd');
    selectRange(selection, matching, 'e');
    expect(ids()).toBe('bcde');
    clearSelection(selection);
    selectRange(selection, matching, 'c');
    expect(ids()).toBe('c');
    selectAll(selection, matching);
    expect(ids()).toBe('abcde');
  });
});

describe('the zip', () => {
  it('holds every picture under a name of its own; lost files are said', async () => {
    const { state, store } = setUp([]);
    const chosen = [
      picture('output:1/a.png', { fileName: 'a.png' }),
      picture('output:2/a.png', { fileName: 'a.png' }),
      picture('gone'),
    ];
    const saved: { zip: Blob; name: string }[] = [];
    await packPictures(state, store, chosen, (zip, name) => saved.push({ zip, name }));
    expect(saved[0]?.name).toBe('easel-3.zip');
    const files = unzipSync(new Uint8Array(await (saved[0]?.zip ?? new Blob()).arrayBuffer()));
    expect(Object.keys(files)).toEqual(['a.png', 'a_2.png']);
    expect(new TextDecoder().decode(files['a_2.png'])).toBe('file of outputs/files/2/a.png');
    expect(state.problem.value).toBe('zip-failed');
    expect(state.packing.value).toBeNull();
  });

  it('is not begun where it cannot end well', async () => {
    const { state, store } = setUp([]);
    const huge = picture('output:a', { sizeBytes: MAX_ZIP_BYTES + 1 });
    await packPictures(state, store, [huge], () => expect.fail('saved'));
    expect(state.problem.value).toBe('zip-too-large');
    expect(isOutput(huge.id)).toBe(true);
  });
});
