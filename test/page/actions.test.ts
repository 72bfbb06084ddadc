import { describe, expect, it, vi } from 'vitest';
import { GenerationError } from '../../protocol/errors.ts';
import {
  chooseCheckpoint,
  followEngine,
  interruptGeneration,
  reuseSeed,
  skipPicture,
  startGeneration,
  swapSizes,
  unloadCheckpoint,
} from '../../web/page/actions.ts';
import { createAppState, setFields } from '../../web/page/state.ts';
import { FakeEngine, fakeImage, fakeSummary, IDLE } from '../fakes/fake-engine.ts';
import { openPage } from '../fakes/page-context.ts';

const STEP_3 = {
  stage: 'sampling',
  imageIndex: 0,
  imageCount: 1,
  step: 3,
  steps: 20,
  fraction: 0.15,
  etaSeconds: 4,
  message: '',
} as const;

describe('startGeneration', () => {
  it('asks for previews only where they are shown', () => {
    const { engine, state, context } = openPage();
    void startGeneration(context);
    expect(engine.lastJob.params.previewEverySteps).toBe(5);
    engine.lastJob.resolve(fakeSummary());
    const hidden = openPage();
    hidden.state.showsPreview.value = false;
    void startGeneration(hidden.context);
    expect(hidden.engine.lastJob.params.previewEverySteps).toBe(0);
    hidden.engine.lastJob.resolve(fakeSummary());
    expect(state.problem.value).toBeNull();
  });

  it('runs the form as a job and shows progress, preview, picture and summary', async () => {
    const { engine, state, context } = openPage();
    setFields(state, { prompt: 'a red apple' });
    const running = startGeneration(context);
    expect(state.isRunning.value).toBe(true);
    const { params, options, resolve } = engine.lastJob;
    expect(params).toMatchObject({ prompt: 'a red apple', seed: 41, steps: 20 });

    options.onProgress?.(STEP_3);
    options.onPreview?.(new Uint8Array([1, 2, 3]));
    expect(state.progress.value?.step).toBe(3);
    expect(state.preview.value?.size).toBe(3);

    options.onImage?.(fakeImage());
    expect(state.preview.value).toBeNull();
    expect(state.pictures.value).toHaveLength(1);
    const [picture] = state.pictures.value;
    expect(picture?.info).toMatchObject({
      fileName: '090507_a_red_apple_7.png',
      seed: 7,
      checkpoint: 'easel-tiny',
      sizeBytes: 4,
    });
    expect(picture?.file.type).toBe('image/png');

    resolve(fakeSummary({ notes: ['Unknown sampler: Euler was used.'] }));
    await running;
    expect(state.isRunning.value).toBe(false);
    expect(state.progress.value).toBeNull();
    expect(state.summary.value?.notes).toHaveLength(1);
    expect(state.pictures.value).toHaveLength(1);
    await vi.waitFor(() => expect(state.gallery.pictures.value).toEqual([picture?.info]));
    expect(await context.galleryStore.file(picture!.info.id)).toBe(picture?.file);
  });

  it('shows the newest picture of a batch and forgets the last job when a new one starts', async () => {
    const { engine, state, context } = openPage();
    const running = startGeneration(context);
    const job = engine.lastJob;
    job.options.onImage?.(fakeImage({ seed: 7 }));
    job.options.onImage?.(fakeImage({ seed: 8, index: 1 }));
    expect(state.selectedIndex.value).toBe(1);
    job.resolve(fakeSummary());
    await running;
    void startGeneration(context);
    expect(state.pictures.value).toEqual([]);
    expect(state.selectedIndex.value).toBe(0);
    expect(state.summary.value).toBeNull();
  });

  it('starts nothing while a job runs', async () => {
    const { engine, context } = openPage();
    void startGeneration(context);
    await startGeneration(context);
    expect(engine.jobs).toHaveLength(1);
  });

  it('names wrong fields instead of starting, keeps what was typed, forgets the problem on edit', async () => {
    const { engine, state, context } = openPage();
    setFields(state, { steps: '0', width: '5' });
    await startGeneration(context);
    expect(engine.jobs).toHaveLength(0);
    expect(Object.keys(state.fieldProblems.value).sort()).toEqual(['steps', 'width']);
    expect(state.form.steps.value).toBe('0');
    setFields(state, { steps: '4' });
    expect(Object.keys(state.fieldProblems.value)).toEqual(['width']);
  });

  it('shows a failure with its code, keeps pictures and form', async () => {
    const { engine, state, context } = openPage();
    setFields(state, { prompt: 'kept' });
    const running = startGeneration(context);
    engine.lastJob.options.onImage?.(fakeImage());
    engine.lastJob.reject(new GenerationError('device-lost', 'The GPU was lost.'));
    await running;
    expect(state.problem.value).toEqual({ code: 'device-lost', message: 'The GPU was lost.' });
    expect(state.pictures.value).toHaveLength(1);
    expect(state.form.prompt.value).toBe('kept');
    expect(state.isRunning.value).toBe(false);
    void startGeneration(context);
    expect(state.problem.value).toBeNull();
  });

  it('keeps no preview where the user switched previews off', () => {
    const { engine, state, context } = openPage();
    state.showsPreview.value = false;
    void startGeneration(context);
    engine.lastJob.options.onPreview?.(new Uint8Array([1]));
    expect(state.preview.value).toBeNull();
  });
});

describe('interrupt and skip', () => {
  it('asks first, aborts on the second press, and shows no error for it', async () => {
    const { engine, state, context } = openPage();
    const running = startGeneration(context);
    interruptGeneration(context);
    expect(engine.calls).toEqual(['interrupt']);
    expect(state.job.value?.isStopping).toBe(true);
    const { options, reject } = engine.lastJob;
    expect(options.signal?.aborted).toBe(false);
    interruptGeneration(context);
    expect(options.signal?.aborted).toBe(true);
    reject(new DOMException('stopped', 'AbortError') as unknown as Error);
    await running;
    expect(state.problem.value).toBeNull();
    expect(state.isRunning.value).toBe(false);
  });

  it('does nothing without a job', () => {
    const { engine, context } = openPage();
    interruptGeneration(context);
    skipPicture(context);
    expect(engine.calls).toEqual([]);
    void startGeneration(context);
    skipPicture(context);
    expect(engine.calls).toEqual(['skip']);
  });
});

describe('checkpoints', () => {
  it('loads what is chosen; choosing the one in use loads nothing', async () => {
    const { engine, state, context } = openPage();
    await chooseCheckpoint(context, 'dreamshaper_8');
    await chooseCheckpoint(context, '');
    expect(engine.calls).toEqual(['load dreamshaper_8']);
    expect(state.form.checkpoint.value).toBe('');
  });

  it('shows a failed load beside the field, unless another choice was made since', async () => {
    const { engine, state, context } = openPage();
    engine.failure = new GenerationError('invalid-model', 'Truncated.');
    await chooseCheckpoint(context, 'broken');
    expect(state.checkpointProblem.value?.code).toBe('invalid-model');
    const stale = chooseCheckpoint(context, 'broken');
    engine.failure = null;
    await chooseCheckpoint(context, 'fine');
    await stale;
    expect(state.checkpointProblem.value).toBeNull();
  });

  it('unloads, and says so where that fails', async () => {
    const { engine, state, context } = openPage();
    await unloadCheckpoint(context);
    expect(state.engineProblem.value).toBeNull();
    engine.failure = new GenerationError('busy', 'A job runs.');
    await unloadCheckpoint(context);
    expect(state.engineProblem.value?.code).toBe('busy');
  });
});

describe('form helpers', () => {
  it('swaps the sides and reuses the seed of the picture shown', () => {
    const { engine, state, context } = openPage();
    setFields(state, { width: '768', height: '512' });
    swapSizes(state);
    expect([state.form.width.value, state.form.height.value]).toEqual(['512', '768']);
    reuseSeed(state);
    expect(state.form.seed.value).toBe('-1');
    void startGeneration(context);
    engine.lastJob.options.onImage?.(fakeImage({ seed: 1234 }));
    reuseSeed(state);
    expect(state.form.seed.value).toBe('1234');
  });
});

describe('followEngine', () => {
  it('mirrors the engine until unsubscribed', () => {
    const engine = new FakeEngine();
    const state = createAppState();
    const unfollow = followEngine(state, engine);
    expect(state.status.value.checkpoint).toBe('easel-tiny');
    expect(state.relay.value.state).toBe('attached');
    engine.tellStatus({ ...IDLE, state: 'compiling' });
    expect(state.status.value.state).toBe('compiling');
    unfollow();
    expect(engine.calls).toHaveLength(3);
  });
});
