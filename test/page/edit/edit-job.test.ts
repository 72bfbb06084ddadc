import { signal } from '@preact/signals';
import { describe, expect, it } from 'vitest';
import type { ActionContext } from '../../../web/page/actions.ts';
import { enlarge, redraw } from '../../../web/page/edit/edit-job.ts';
import type { EditSession } from '../../../web/page/edit/edit-session.ts';
import { createGalleryStore } from '../../../web/page/gallery-store.ts';
import { addStyle, toggleStyle } from '../../../web/page/prompt-styles.ts';
import { createAppState, setFields } from '../../../web/page/state.ts';
import { FakeEngine, fakeSummary } from '../../fakes/fake-engine.ts';
import { mapShelves } from '../../fakes/map-shelves.ts';

/** A canvas without a browser: what is encoded is text. */
function canvas({ hasPicture = true, hasMask = false, isReadable = true } = {}) {
  const encode = (text: string) => async () => {
    if (!isReadable) throw new Error('no memory');
    return new Blob([text]);
  };
  const session = {
    hasPicture: signal(hasPicture),
    hasMask: signal(hasMask),
    layers: { flattened: encode('picture'), jobMask: encode('mask') },
  };
  return session as unknown as EditSession;
}

function setUp() {
  const engine = new FakeEngine();
  const state = createAppState();
  const context: ActionContext = {
    ...{ state, engine, makeThumb: async () => null, drawSeed: () => 41 },
    galleryStore: createGalleryStore(mapShelves()),
  };
  return { engine, state, context };
}

describe('jobs of the canvas', () => {
  it('redraw the masked part, with the chosen styles', async () => {
    const { engine, state, context } = setUp();
    setFields(state, { prompt: 'a fox' });
    addStyle(state.styles, { name: 'ink', prompt: 'ink', negativePrompt: null });
    toggleStyle(state.styles, 'ink');
    await redraw(context, canvas({ hasMask: true }));
    expect(engine.lastJob.params).toMatchObject({
      ...{ mode: 'img2img', prompt: 'a fox, ink', seed: 41, initImages: [btoa('picture')] },
      inpaint: { mask: btoa('mask') },
    });
    expect(state.isRunning.value).toBe(true);
    engine.lastJob.resolve(fakeSummary());
  });

  it('redraw all without a mask, and enlarge without looking at it', async () => {
    const { engine, context } = setUp();
    await redraw(context, canvas());
    expect(engine.lastJob.params.inpaint).toBeNull();
    engine.lastJob.resolve(fakeSummary());
    await new Promise((resolve) => setTimeout(resolve));
    await enlarge(context, canvas({ hasMask: true }));
    expect(engine.lastJob.params).toMatchObject({
      ...{ mode: 'upscale', initImages: [btoa('picture')], upscale: { upscaler: 'Lanczos' } },
    });
    engine.lastJob.resolve(fakeSummary());
  });

  it('are not begun twice, nor without a picture', async () => {
    const { engine, context } = setUp();
    await redraw(context, canvas({ hasPicture: false }));
    expect(engine.jobs).toHaveLength(0);
    await Promise.all([redraw(context, canvas()), redraw(context, canvas())]);
    expect(engine.jobs).toHaveLength(1);
    await redraw(context, canvas());
    expect(engine.jobs).toHaveLength(1);
    engine.lastJob.resolve(fakeSummary());
  });

  it('say which field is wrong, and that a canvas cannot be read', async () => {
    const { engine, state, context } = setUp();
    setFields(state, { editWidth: 'wide' });
    await redraw(context, canvas());
    expect(state.fieldProblems.value).toHaveProperty('editWidth');
    setFields(state, { editWidth: '512' });
    await redraw(context, canvas({ isReadable: false }));
    expect(state.problem.value?.code).toBe('out-of-memory');
    expect(engine.jobs).toHaveLength(0);
    await redraw(context, canvas());
    expect(engine.jobs).toHaveLength(1);
    engine.lastJob.resolve(fakeSummary());
  });
});
