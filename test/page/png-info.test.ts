import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { writeExifText } from '../../protocol/exif-text.ts';
import { makePngChunk, PNG_SIGNATURE } from '../../protocol/png-chunks.ts';
import { writePngText } from '../../protocol/png-text.ts';
import { inspectPicture, reuseSettings } from '../../web/page/actions.ts';
import { createGalleryStore } from '../../web/page/gallery-store.ts';
import { formOfInfotext, readPictureText } from '../../web/page/png-info.ts';
import { createAppState } from '../../web/page/state.ts';
import { FakeEngine } from '../fakes/fake-engine.ts';
import { mapShelves } from '../fakes/map-shelves.ts';

const INFOTEXT = `a (red:1.2) apple, 3d
Negative prompt: blurry
Steps: 25, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 1234, Size: 640x512, Model hash: 0123456789, Model: dreamshaper_8, Version: v1.10.1`;

/** A grey PNG of 64 × 48. */
function greyPng(): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, 64);
  view.setUint32(4, 48);
  header[8] = 8;
  const pixels = deflateSync(new Uint8Array(65 * 48));
  return Uint8Array.from([
    ...PNG_SIGNATURE,
    ...makePngChunk('IHDR', header),
    ...makePngChunk('IDAT', pixels),
    ...makePngChunk('IEND', new Uint8Array()),
  ]);
}

const JPEG = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xd9);

function setUp() {
  const state = createAppState();
  const galleryStore = createGalleryStore(mapShelves());
  return {
    state,
    context: { state, engine: new FakeEngine(), galleryStore, makeThumb: async () => null },
  };
}

describe('readPictureText', () => {
  it('reads the parameters of a PNG, and shows what else there is', async () => {
    const png = writePngText(greyPng(), { parameters: INFOTEXT, Title: 'Apple' });
    expect(await readPictureText(png)).toEqual({
      infotext: INFOTEXT,
      others: [['Title', 'Apple']],
    });
  });

  it('reads the user comment of a JPEG', async () => {
    expect(await readPictureText(writeExifText(JPEG, INFOTEXT))).toEqual({
      infotext: INFOTEXT,
      others: [],
    });
  });

  it('shows the workflow of ComfyUI as it is', async () => {
    const png = writePngText(greyPng(), { prompt: '{}', workflow: '{"nodes":[]}' });
    expect(await readPictureText(png)).toEqual({
      infotext: null,
      others: [
        ['prompt', '{}'],
        ['workflow', '{"nodes":[]}'],
      ],
    });
  });

  it("turns NovelAI's settings into A1111's", async () => {
    const comment = { steps: 28, sampler: 'k_euler_ancestral', seed: 42, scale: 11, uc: 'lowres' };
    const png = writePngText(greyPng(), {
      Software: 'NovelAI',
      Description: 'a fox',
      Comment: JSON.stringify(comment),
    });
    const form = formOfInfotext((await readPictureText(png))?.infotext ?? '');
    expect(form).toMatchObject({
      prompt: 'a fox',
      negativePrompt: 'lowres',
      steps: '28',
      sampler: 'Euler a',
      seed: '42',
      width: '64',
      height: '48',
    });
    expect(Number(form.guidanceScale)).toBe(11);
  });

  it('survives a NovelAI comment that is broken', async () => {
    const texts = { Software: 'NovelAI', Description: 'a fox', Comment: '{' };
    expect((await readPictureText(writePngText(greyPng(), texts)))?.infotext).toBeNull();
  });

  it('knows what is no picture', async () => {
    expect(await readPictureText(new TextEncoder().encode('hello'))).toBeNull();
    expect(await readPictureText(new Uint8Array())).toBeNull();
  });
});

describe('formOfInfotext', () => {
  it('fills the form, with the schedule out of an old sampler name', () => {
    expect(formOfInfotext(INFOTEXT)).toMatchObject({
      prompt: 'a (red:1.2) apple, 3d',
      negativePrompt: 'blurry',
      steps: '25',
      sampler: 'DPM++ 2M',
      scheduler: 'automatic',
      guidanceScale: '6.5',
      seed: '1234',
      width: '640',
      height: '512',
      checkpoint: 'dreamshaper_8',
    });
  });

  it('takes a text without settings as a prompt alone', () => {
    expect(formOfInfotext('just words')).toEqual({ prompt: 'just words', negativePrompt: '' });
  });

  it('leaves out a sampler that does not exist', () => {
    const form = formOfInfotext(
      'x\nSteps: 20, Sampler: Future, CFG scale: 7, Seed: 1, Size: 64x64',
    );
    expect(form.sampler).toBeUndefined();
    expect(form.steps).toBe('20');
  });
});

describe('inspectPicture', () => {
  it.each([
    ['not-a-picture', new Blob(['hello'])],
    ['damaged', new Blob([greyPng().subarray(0, 40)])],
    ['too-large', { size: 2 ** 30 } as Blob],
  ])('says %s', async (outcome, file) => {
    const { state, context } = setUp();
    await inspectPicture(context, file);
    expect(state.inspected.value?.outcome).toBe(outcome);
  });

  it('reads a file, and its settings go to Create', async () => {
    const { state, context } = setUp();
    await inspectPicture(context, new Blob([writePngText(greyPng(), { parameters: INFOTEXT })]));
    const outcome = state.inspected.value?.outcome;
    expect(outcome).toMatchObject({ infotext: INFOTEXT });
    state.view.value = 'png-info';
    reuseSettings(context, formOfInfotext(INFOTEXT));
    expect(state.view.value).toBe('create');
    expect(state.form.seed.value).toBe('1234');
    // This checkpoint is not there, so the one in use stays.
    expect(state.form.checkpoint.value).toBe('');
    state.catalog.value = {
      checkpoints: [
        { name: 'dreamshaper_8', source: 'bridge', filename: 'x', sha256: null, sizeBytes: null },
      ],
    };
    reuseSettings(context, formOfInfotext(INFOTEXT));
    expect(state.form.checkpoint.value).toBe('dreamshaper_8');
  });
});
