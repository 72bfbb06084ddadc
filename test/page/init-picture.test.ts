import { describe, expect, it } from 'vitest';
import {
  beginWith,
  dropInitPicture,
  startGeneration,
  takeInitPicture,
} from '../../web/page/actions.ts';
import { createGalleryStore } from '../../web/page/gallery-store.ts';
import {
  jobSizeOf,
  MAX_PICTURE_BYTES,
  openPicture,
  toBase64,
} from '../../web/page/init-picture.ts';
import { createAppState, setFields } from '../../web/page/state.ts';
import { FakeEngine } from '../fakes/fake-engine.ts';
import { mapShelves } from '../fakes/map-shelves.ts';
import { measureAs } from '../fakes/measure-picture.ts';

const measure = measureAs(640, 483);

const png = (bytes: BlobPart[] = ['png']) => new Blob(bytes, { type: 'image/png' });

function setUp() {
  const engine = new FakeEngine();
  const state = createAppState();
  const galleryStore = createGalleryStore(mapShelves());
  return {
    engine,
    state,
    context: { engine, state, galleryStore, measure, makeThumb: async () => null },
  };
}

describe('openPicture', () => {
  it('reads size and bytes', async () => {
    expect(await openPicture(png(), measure)).toMatchObject({
      width: 640,
      height: 483,
      base64: 'cG5n',
    });
  });

  it('refuses what is no picture, and what is too large before reading it', async () => {
    expect(await openPicture(new Blob(['text']), measure)).toBe('not-a-picture');
    const huge = { size: MAX_PICTURE_BYTES + 1 } as Blob;
    expect(await openPicture(huge, measure)).toBe('too-large');
  });
});

describe('toBase64', () => {
  it('carries every byte, also of files longer than one piece', async () => {
    const bytes = new Uint8Array(100_001).map((_, index) => (index * 31) % 256);
    const decoded = Buffer.from(await toBase64(new Blob([bytes])), 'base64');
    expect(decoded.equals(Buffer.from(bytes))).toBe(true);
  });
});

describe('jobSizeOf', () => {
  it.each([
    [640, 483, { width: 640, height: 480 }],
    [8192, 4096, { width: 4096, height: 2048 }],
    [10, 2000, { width: 64, height: 2000 }],
  ])('%s × %s', (width, height, size) => expect(jobSizeOf({ width, height }, 4096)).toEqual(size));
});

describe('beginning with a picture', () => {
  it('makes the job img2img, with strength and resize mode', async () => {
    const { engine, state, context } = setUp();
    await takeInitPicture(context, png());
    setFields(state, { denoisingStrength: '0.4', resizeMode: 'fill' });
    void startGeneration(context);
    expect(engine.lastJob.params).toMatchObject({
      mode: 'img2img',
      initImages: ['cG5n'],
      denoisingStrength: 0.4,
      resizeMode: 2,
    });
  });

  it('keeps the picture it has when another cannot be read, and says so', async () => {
    const { state, context } = setUp();
    await takeInitPicture(context, png());
    await takeInitPicture(context, new Blob(['text']));
    expect(state.init.picture.value?.base64).toBe('cG5n');
    expect(state.init.problem.value).toBe('not-a-picture');
    await takeInitPicture(context, png());
    expect(state.init.problem.value).toBeNull();
  });

  it('names a wrong strength, but only where the field is on the page', async () => {
    const { engine, state, context } = setUp();
    setFields(state, { denoisingStrength: '1.5' });
    await takeInitPicture(context, png());
    await startGeneration(context);
    expect(engine.jobs).toHaveLength(0);
    expect(state.fieldProblems.value.denoisingStrength).toBeDefined();
    dropInitPicture(state);
    void startGeneration(context);
    expect(engine.lastJob.params).toMatchObject({ mode: 'txt2img', initImages: [] });
  });

  it('takes a picture of the gallery to Create', async () => {
    const { state, context } = setUp();
    state.view.value = 'gallery';
    state.gallery.openId.value = 'a';
    await beginWith(context, png());
    expect(state.view.value).toBe('create');
    expect(state.gallery.openId.value).toBeNull();
    expect(state.init.picture.value?.width).toBe(640);
  });
});
