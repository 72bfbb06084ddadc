import { describe, expect, it } from 'vitest';
import { FORM_DEFAULTS, toGenerationParams } from '../../web/page/form.ts';
import {
  createGalleryState,
  formOfPicture,
  keepPicture,
  loadGallery,
  removePictures,
  stepPicture,
} from '../../web/page/gallery.ts';
import { filterPictures, NO_FILTER } from '../../web/page/gallery-filter.ts';
import { createGalleryStore, withChanges } from '../../web/page/gallery-store.ts';
import type { Picture, PictureInfo } from '../../web/page/picture.ts';
import { mapShelves } from '../fakes/map-shelves.ts';

function info(overrides: Partial<PictureInfo> = {}): PictureInfo {
  return {
    id: 'a',
    createdAt: 1,
    fileName: 'a.png',
    sizeBytes: 3,
    infotext: '',
    prompt: 'a red apple',
    negativePrompt: 'blurry',
    seed: 7,
    width: 512,
    height: 768,
    steps: 12,
    guidanceScale: 6.5,
    sampler: 'DPM++ 2M',
    scheduler: 'karras',
    checkpoint: 'easel-tiny',
    ...overrides,
  };
}

function picture(overrides: Partial<PictureInfo> = {}): Picture {
  return { info: info(overrides), file: new Blob(['png']) };
}

const matches = (picture: PictureInfo, query: string) =>
  filterPictures([picture], { ...NO_FILTER, query }).length === 1;

const noThumb = async () => null;

async function filled(ids: readonly string[]) {
  const shelves = mapShelves();
  const store = createGalleryStore(shelves);
  const state = createGalleryState();
  for (const [index, id] of ids.entries()) {
    await keepPicture(state, store, picture({ id, createdAt: index }), noThumb);
  }
  return { shelves, store, state };
}

const idsOf = (state: ReturnType<typeof createGalleryState>) =>
  state.pictures.value.map(({ id }) => id);

describe('gallery store', () => {
  it('lists newest first after a reload, with file and thumb', async () => {
    const { shelves, store } = await filled(['a', 'b']);
    await store.keep(picture({ id: 'c', createdAt: 9 }), new Blob(['t']));
    const state = createGalleryState();
    await loadGallery(state, createGalleryStore(shelves));
    expect(idsOf(state)).toEqual(['c', 'b', 'a']);
    expect((await store.file('a'))?.size).toBe(3);
    expect((await store.thumb('c'))?.size).toBe(1);
    expect(await store.thumb('a')).toBeNull();
    expect(await store.file('nobody')).toBeNull();
  });

  it('never lets one broken record hide the others', async () => {
    const { shelves, store } = await filled(['a', 'b']);
    shelves.index.values.set('x', { id: 'x' });
    shelves.index.values.set('y', 'rubbish');
    shelves.files.values.set('a', 'no blob');
    const state = createGalleryState();
    await loadGallery(state, store);
    expect(idsOf(state)).toEqual(['b', 'a']);
    expect(state.unreadable.value).toBe(2);
    expect(await store.file('a')).toBeNull();
  });

  it('tells of every change that succeeded, and of no other', async () => {
    const shelves = mapShelves();
    let changes = 0;
    const store = withChanges(createGalleryStore(shelves), () => {
      changes += 1;
    });
    await store.keep(picture(), null);
    await store.remove(['a']);
    expect(changes).toBe(2);
    shelves.index.refuses = true;
    await expect(store.keep(picture(), null)).rejects.toThrow();
    await store.list();
    expect(changes).toBe(2);
  });

  it('leaves nothing behind of a picture that does not fit', async () => {
    const { shelves, store, state } = await filled(['a']);
    shelves.index.refuses = true;
    await keepPicture(state, store, picture({ id: 'b' }), async () => new Blob(['t']));
    expect(state.problem.value).toBe('not-kept');
    expect(idsOf(state)).toEqual(['a']);
    expect([...shelves.files.values.keys()]).toEqual(['a']);
    expect(shelves.thumbs.values.size).toBe(0);
    shelves.index.refuses = false;
    await keepPicture(state, store, picture({ id: 'c' }), noThumb);
    expect(state.problem.value).toBeNull();
  });
});

describe('removePictures', () => {
  it('forgets record, file and thumb, and opens the neighbour', async () => {
    const { shelves, store, state } = await filled(['a', 'b', 'c']);
    state.openId.value = 'b';
    await removePictures(state, store, ['b']);
    expect(idsOf(state)).toEqual(['c', 'a']);
    expect(shelves.files.values.has('b')).toBe(false);
    expect(state.openId.value).toBe('a');
    await removePictures(state, store, ['a']);
    expect(state.openId.value).toBe('c');
    await removePictures(state, store, ['c']);
    expect(state.openId.value).toBeNull();
  });

  it('keeps showing what could not be deleted', async () => {
    const { shelves, store, state } = await filled(['a']);
    shelves.index.refuses = true;
    await removePictures(state, store, ['a']);
    expect(idsOf(state)).toEqual(['a']);
    expect(state.problem.value).toBe('not-removed');
  });
});

describe('search', () => {
  it.each([
    ['', true],
    ['RED apple', true],
    ['apple red', true],
    ['pear', false],
    ['blurry', true],
    ['easel-tiny dpm++', true],
    ['7', true],
  ])('"%s"', (query, expected) => expect(matches(info(), query)).toBe(expected));

  it('overlooks accents on both sides', () => {
    expect(matches(info({ prompt: 'ein grüner Bär' }), 'gruner bar')).toBe(true);
    expect(matches(info({ prompt: 'cafe' }), 'café')).toBe(true);
  });

  it('narrows what the arrows walk through', async () => {
    const { state } = await filled(['a', 'b', 'c']);
    state.pictures.value = state.pictures.value.map((entry) =>
      entry.id === 'b' ? { ...entry, prompt: 'a pear' } : entry,
    );
    state.filter.value = { ...NO_FILTER, query: 'apple' };
    state.openId.value = 'c';
    stepPicture(state, 1);
    expect(state.openId.value).toBe('a');
    stepPicture(state, 1);
    expect(state.openId.value).toBe('a');
    stepPicture(state, -1);
    expect(state.openId.value).toBe('c');
  });
});

describe('formOfPicture', () => {
  it('makes the same job again', () => {
    const result = toGenerationParams({ ...FORM_DEFAULTS, ...formOfPicture(info()) });
    expect(result).toMatchObject({
      params: {
        prompt: 'a red apple',
        negativePrompt: 'blurry',
        seed: 7,
        steps: 12,
        guidanceScale: 6.5,
        width: 512,
        height: 768,
        sampler: 'DPM++ 2M',
        scheduler: 'karras',
      },
    });
  });

  it('leaves out what this version does not know', () => {
    expect(formOfPicture(info({ sampler: 'Future', checkpoint: null }))).not.toHaveProperty(
      'sampler',
    );
  });

  it('goes by the infotext where there is one: hires fix and clip skip, or none of them', () => {
    const settings = 'Steps: 9, Sampler: Euler, CFG scale: 3, Seed: 5, Size: 256x128';
    const plain = formOfPicture(info({ infotext: `an owl\n${settings}` }));
    expect(plain).toMatchObject({ prompt: 'an owl', steps: '9', width: '256', hires: 'off' });
    expect(plain.clipSkip).toBe('1');
    const hires = `${settings}, Clip skip: 2, Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent`;
    expect(formOfPicture(info({ infotext: `an owl\n${hires}` }))).toMatchObject({
      hires: 'on',
      hiresScale: '2',
      clipSkip: '2',
      width: '256',
    });
  });
});
