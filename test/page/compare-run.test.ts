import { describe, expect, it, vi } from 'vitest';
import { GenerationError } from '../../protocol/errors.ts';
import { interruptGeneration, startGeneration } from '../../web/page/actions.ts';
import { setFields } from '../../web/page/state.ts';
import { type FakeEngine, fakeImage, fakeSummary } from '../fakes/fake-engine.ts';
import { openPage } from '../fakes/page-context.ts';

/** A page that is about to compare three numbers of steps. */
function setUp() {
  const page = openPage();
  setFields(page.state, { compare: 'xyz', axisX: 'Steps', axisXValues: '3, 4, 5', steps: '9' });
  return page;
}

type Engine = FakeEngine;

/** The `count`th job, once the page has handed it over. */
async function nextJob(engine: Engine, count: number) {
  await vi.waitFor(() => expect(engine.jobs).toHaveLength(count));
  return engine.lastJob;
}

async function finishCell(engine: Engine, count: number, byte: number) {
  const job = await nextJob(engine, count);
  job.options.onImage?.(fakeImage({ bytes: new Uint8Array([byte]), width: 64, height: 64 }));
  job.resolve(fakeSummary());
}

async function finishGrid(engine: Engine, count: number) {
  const job = await nextJob(engine, count);
  expect(job.params.mode).toBe('grid');
  job.options.onImage?.(fakeImage({ bytes: new Uint8Array([9]), width: 300, height: 90 }));
  job.resolve(fakeSummary({ notes: ['of the grid'] }));
  return job.params;
}

const base64 = (byte: number) => btoa(String.fromCharCode(byte));

describe('a comparison', () => {
  it('makes the cells one by one, then the grid; all go onto the stage and into the gallery', async () => {
    const { engine, state, context } = setUp();
    const running = startGeneration(context);
    await finishCell(engine, 1, 1);
    const second = await nextJob(engine, 2);
    second.options.onProgress?.({
      ...{ stage: 'sampling', imageIndex: 0, imageCount: 1, step: 2, steps: 4 },
      ...{ fraction: 0.5, etaSeconds: 1, message: '' },
    });
    expect(state.progress.value).toMatchObject({ imageIndex: 1, imageCount: 3, fraction: 0.5 });
    await finishCell(engine, 2, 2);
    await finishCell(engine, 3, 3);
    const { initImages, grid } = await finishGrid(engine, 4);
    await running;

    expect(engine.jobs.slice(0, 3).map(({ params }) => params.steps)).toEqual([3, 4, 5]);
    expect(initImages).toEqual([base64(1), base64(2), base64(3)]);
    expect(grid).toMatchObject({ columns: 3, rows: 1, cells: [0, 1, 2], cellWidth: 64 });
    expect(grid?.infotext).toContain('Script: X/Y/Z plot, X Type: Steps, X Values: "3, 4, 5"');
    expect(state.pictures.value).toHaveLength(4);
    expect(state.selectedIndex.value).toBe(3);
    expect(state.pictures.value[3]?.info).toMatchObject({ width: 300, height: 90, steps: 3 });
    await vi.waitFor(() => expect(state.gallery.pictures.value).toHaveLength(4));
    expect(state.summary.value).toMatchObject({ interrupted: false, notes: [] });
    expect(state.isRunning.value).toBe(false);
  });

  it('leaves a skipped cell and a failed one blank, and says why', async () => {
    const { engine, state, context } = setUp();
    const running = startGeneration(context);
    (await nextJob(engine, 1)).resolve(fakeSummary());
    (await nextJob(engine, 2)).reject(new GenerationError('out-of-memory', 'No room.'));
    await finishCell(engine, 3, 3);
    const { initImages, grid } = await finishGrid(engine, 4);
    await running;
    expect(initImages).toEqual([base64(3)]);
    expect(grid?.cells).toEqual([null, null, 0]);
    expect(state.summary.value?.notes).toEqual(['Picture 2 was not made: No room.']);
    expect(state.problem.value).toBeNull();
  });

  it('ends with the grid of what exists when it is interrupted', async () => {
    const { engine, state, context } = setUp();
    const running = startGeneration(context);
    await finishCell(engine, 1, 1);
    const second = await nextJob(engine, 2);
    interruptGeneration(context);
    second.resolve(fakeSummary({ interrupted: true }));
    const { grid } = await finishGrid(engine, 3);
    await running;
    expect(grid?.cells).toEqual([0, null, null]);
    expect(state.summary.value?.interrupted).toBe(true);
    expect(state.pictures.value).toHaveLength(2);
  });

  it('begins no further cell once it is interrupted, even where the last was finished', async () => {
    const { engine, context } = setUp();
    const running = startGeneration(context);
    const first = await nextJob(engine, 1);
    first.options.onImage?.(fakeImage());
    interruptGeneration(context);
    first.resolve(fakeSummary());
    await finishGrid(engine, 2);
    await running;
  });

  it('draws nothing more after a second interrupt', async () => {
    const { engine, state, context } = setUp();
    const running = startGeneration(context);
    await finishCell(engine, 1, 1);
    const second = await nextJob(engine, 2);
    interruptGeneration(context);
    interruptGeneration(context);
    expect(second.options.signal?.aborted).toBe(true);
    second.reject(new DOMException('The job was cancelled.', 'AbortError'));
    await running;
    expect(engine.jobs).toHaveLength(2);
    expect(state.pictures.value).toHaveLength(1);
    expect(state.problem.value).toBeNull();
  });

  it('shows the first error where no picture was made, and stops where the next would fare no better', async () => {
    const { engine, state, context } = setUp();
    const running = startGeneration(context);
    (await nextJob(engine, 1)).reject(new GenerationError('not-found', 'No such file.'));
    (await nextJob(engine, 2)).reject(new GenerationError('webgpu-unavailable', 'No GPU.'));
    await running;
    expect(engine.jobs).toHaveLength(2);
    expect(state.problem.value).toEqual({ code: 'not-found', message: 'No such file.' });
  });

  it('keeps the pictures where the grid cannot be made', async () => {
    const { engine, state, context } = setUp();
    setFields(state, { axisXValues: '3' });
    const running = startGeneration(context);
    await finishCell(engine, 1, 1);
    (await nextJob(engine, 2)).reject(new GenerationError('unsupported', 'Too large.'));
    await running;
    expect(state.pictures.value).toHaveLength(1);
    expect(state.summary.value?.notes).toEqual(['The grid was not made: Too large.']);
  });

  it('says what is wrong with its values and with other fields, and starts nothing', async () => {
    const { engine, state, context } = setUp();
    setFields(state, { axisXValues: '0' });
    await startGeneration(context);
    expect(state.problem.value).toMatchObject({ code: 'invalid-request' });
    setFields(state, { width: '5' });
    await startGeneration(context);
    expect(state.fieldProblems.value.width).toBeDefined();
    expect(engine.jobs).toHaveLength(0);
    expect(state.isRunning.value).toBe(false);
  });

  it('is made where the engine is another machine’s too', async () => {
    const { engine, state, context } = setUp();
    state.isRemote.value = true;
    void startGeneration(context);
    expect((await nextJob(engine, 1)).params.steps).toBe(3);
  });
});
