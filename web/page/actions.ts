import { batch } from '@preact/signals';
import { isAbortError, serializeError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary } from '../../protocol/job.ts';
import type { Engine, GeneratedImage, GenerateOptions } from '../shared/engine.ts';
import { type ComparisonPlan, planComparison } from './compare.ts';
import { runComparison } from './compare-run.ts';
import { keepStorage } from './compiled-models.ts';
import { CONTROL_UNITS, type ControlUnit, unitField } from './control-form.ts';
import type { Downloader } from './downloads.ts';
import { drawSeed, type FormValues, toGenerationParams } from './form.ts';
import { keepPicture } from './gallery.ts';
import type { GalleryStore } from './gallery-store.ts';
import { MAX_PICTURE_BYTES, type MeasurePicture } from './init-picture.ts';
import { controlImages, dropPicture, takePicture } from './kept-pictures.ts';
import type { OutputStore } from './outputs.ts';
import { type Picture, toPicture } from './picture.ts';
import { readPictureText } from './png-info.ts';
import { withStyles } from './prompt-styles.ts';
import { type AppState, type InspectedPicture, setFields, withoutProblem } from './state.ts';

/** What actions need beside the state. */
export interface ActionContext {
  readonly state: AppState;
  readonly engine: Engine;
  readonly galleryStore: GalleryStore;
  /** The bridge's saved pictures; missing where no bridge gives them. */
  readonly outputs?: OutputStore;
  /** Makes the small picture of the gallery's grid. */
  readonly makeThumb: (file: Blob) => Promise<Blob | null>;
  /** Whoever downloads models; missing where nobody can (a bridge that wants its password first). */
  readonly downloader?: Downloader;
  /** Reads the size of a dropped picture; the browser's decoder by default. */
  readonly measure?: MeasurePicture;
  readonly now?: () => Date;
  readonly drawSeed?: () => number;
}

/** Mirrors what the engine says into the state; returns the unsubscriber. */
export function followEngine(state: AppState, engine: Engine): () => void {
  const unsubscribers = [
    engine.onStatus((status) => {
      state.status.value = status;
    }),
    engine.onRelayStatus((status) => {
      state.relay.value = status;
    }),
    engine.onCatalog((catalog) => {
      state.catalog.value = catalog;
    }),
  ];
  return () => {
    for (const unsubscribe of unsubscribers) unsubscribe();
  };
}

function resetStage(state: AppState): void {
  batch(() => {
    state.fieldProblems.value = {};
    state.problem.value = null;
    state.progress.value = null;
    state.preview.value = null;
    state.summary.value = null;
    state.pictures.value = [];
    state.selectedIndex.value = 0;
  });
}

function addPicture(context: ActionContext, image: GeneratedImage, params: GenerationParams): void {
  const { state } = context;
  const picture = toPicture(image, params, {
    checkpoint: state.status.value.checkpoint,
    now: context.now?.() ?? new Date(),
  });
  batch(() => {
    state.preview.value = null;
    state.pictures.value = [...state.pictures.value, picture];
    state.selectedIndex.value = state.pictures.value.length - 1;
  });
  void keepPicture(state.gallery, context.galleryStore, picture, context.makeThumb);
}

/** What the form's job begins with, and what its ControlNet units keep to. */
function picturesOf({ init, controls }: AppState) {
  return { initImage: init.picture.value?.base64 ?? null, controlImages: controlImages(controls) };
}

/** A1111 shows one every 10 steps; a picture that one sits and watches may come up twice as often. */
const PREVIEW_EVERY_STEPS = 5;

/** Runs the job or the comparison that the form describes, unless one runs already or a field is wrong. */
export async function startGeneration(context: ActionContext): Promise<void> {
  const { state } = context;
  if (state.job.value) return;
  if (state.formValues.value.compare !== 'off') {
    await startComparison(context);
    return;
  }
  const result = toGenerationParams(withStyles(state.formValues.value, state.styles), {
    ...picturesOf(state),
    ...(context.drawSeed ? { draw: context.drawSeed } : {}),
  });
  if ('problems' in result) {
    state.fieldProblems.value = result.problems;
    return;
  }
  await runJob(context, result.params);
}

/** Plans the form's comparison and runs it; says why where it cannot be planned. */
async function startComparison(context: ActionContext): Promise<void> {
  const { state } = context;
  const form = state.formValues.value;
  const draw = context.drawSeed ?? drawSeed;
  const result = toGenerationParams(form, { draw, ...picturesOf(state) });
  if ('problems' in result) {
    state.fieldProblems.value = result.problems;
    return;
  }
  let plan: ComparisonPlan;
  try {
    plan = planComparison(form, result.params, {
      checkpoints: state.catalog.value.checkpoints,
      drawSeed: draw,
      style({ prompt, negativePrompt }) {
        const styled = withStyles({ ...form, prompt, negativePrompt }, state.styles);
        return { prompt: styled.prompt, negativePrompt: styled.negativePrompt };
      },
    });
  } catch (error) {
    state.problem.value = serializeError(error);
    return;
  }
  const [first = result.params] = plan.cells;
  await runAsJob(context, first, (generate) =>
    runComparison(plan, {
      generate,
      isStopping: () => state.job.value?.isStopping ?? true,
      onProgress: (progress) => {
        state.progress.value = progress;
      },
      onPicture: (image, params) => addPicture(context, image, params),
      now: () => performance.now(),
    }),
  );
}

/** Runs a job and shows what becomes of it, unless one runs already. */
export async function runJob(context: ActionContext, job: GenerationParams): Promise<void> {
  const { state } = context;
  if (state.job.value) return;
  await runAsJob(context, job, (generate) =>
    generate(job, {
      onProgress: (progress) => {
        state.progress.value = progress;
      },
      onImage: (image) => addPicture(context, image, job),
    }),
  );
}

type Generate = (
  params: GenerationParams,
  options: Pick<GenerateOptions, 'onImage' | 'onProgress'>,
) => Promise<GenerationSummary>;

/** Runs one or several jobs of the engine as the page's one job, which the buttons stop and the stage shows. */
async function runAsJob(
  { state, engine }: ActionContext,
  job: GenerationParams,
  run: (generate: Generate) => Promise<GenerationSummary | null>,
): Promise<void> {
  const previewEverySteps = state.showsPreview.value ? PREVIEW_EVERY_STEPS : 0;
  const abort = new AbortController();
  resetStage(state);
  state.job.value = { params: { ...job, previewEverySteps }, abort, isStopping: false };
  try {
    state.summary.value = await run((params, options) =>
      engine.generate(
        { ...params, previewEverySteps },
        {
          ...options,
          signal: abort.signal,
          onPreview: (bytes) => {
            if (state.showsPreview.value) state.preview.value = new Blob([bytes]);
          },
        },
      ),
    );
  } catch (error) {
    if (!isAbortError(error)) state.problem.value = serializeError(error);
  } finally {
    batch(() => {
      state.job.value = null;
      state.progress.value = null;
      state.preview.value = null;
    });
  }
}

/** Takes a dropped, pasted or chosen file as the picture to begin with; says why where it cannot. */
export async function takeInitPicture(
  { state, measure }: ActionContext,
  file: Blob,
): Promise<void> {
  await takePicture(state.init, file, measure);
}

/** Back to txt2img. */
export function dropInitPicture(state: AppState): void {
  dropPicture(state.init);
}

/** Takes a file as what a ControlNet unit keeps to. */
export async function takeControlPicture(
  { state, measure }: ActionContext,
  unit: ControlUnit,
  file: Blob,
): Promise<void> {
  const slot = state.controls[unit];
  if (!slot) return;
  await takePicture(slot, file, measure);
  if (slot.picture.value) withoutProblem(state, unitField(unit, 'Use'));
}

/** Begins the next picture with one of the gallery. */
export async function beginWith(context: ActionContext, file: Blob): Promise<void> {
  await takeInitPicture(context, file);
  context.state.gallery.openId.value = null;
  context.state.view.value = 'create';
}

/** Puts a picture on the canvas of Edit and shows it. */
export function sendToEdit({ state }: ActionContext, file: Blob): void {
  batch(() => {
    state.edit.incoming.value = file;
    state.gallery.openId.value = null;
    state.view.value = 'edit';
  });
}

/** Ends the job after the present step; asked a second time, at once. Finished pictures stay. */
export function interruptGeneration({ state, engine }: ActionContext): void {
  const job = state.job.value;
  if (!job) return;
  if (job.isStopping) {
    job.abort.abort();
    return;
  }
  state.job.value = { ...job, isStopping: true };
  engine.interrupt();
}

/** Drops the picture being made and goes on with the next one of the job. */
export function skipPicture({ state, engine }: ActionContext): void {
  if (state.job.value) engine.skip();
}

/** Chooses a checkpoint and brings it into memory, so that the next picture starts at once. */
export async function chooseCheckpoint(context: ActionContext, name: string): Promise<void> {
  const { state, engine } = context;
  setFields(state, { checkpoint: name });
  state.checkpointProblem.value = null;
  if (name === '') return;
  void keepStorage(state);
  try {
    await engine.loadCheckpoint(name);
  } catch (error) {
    // A choice made since then has its own outcome.
    if (state.form.checkpoint.value === name && !isAbortError(error)) {
      state.checkpointProblem.value = serializeError(error);
    }
  }
}

/** Asks all sources again what they have. */
export async function refreshModels({ state, engine }: ActionContext): Promise<void> {
  state.checkpointProblem.value = null;
  state.isRefreshing.value = true;
  try {
    await engine.refreshModels();
  } catch (error) {
    state.checkpointProblem.value = serializeError(error);
  } finally {
    state.isRefreshing.value = false;
  }
}

/** Gives the device's memory back. */
export async function unloadCheckpoint({ state, engine }: ActionContext): Promise<void> {
  state.engineProblem.value = null;
  try {
    await engine.unloadCheckpoint();
  } catch (error) {
    state.engineProblem.value = serializeError(error);
  }
}

export function swapSizes(state: AppState): void {
  const { width, height } = state.form;
  setFields(state, { width: height.value, height: width.value });
}

/** Puts the seed of the picture on show into the form. */
export function reuseSeed(state: AppState): void {
  const picture = state.pictures.value[state.selectedIndex.value];
  if (picture) setFields(state, { seed: String(picture.info.seed) });
}

/** Shows a picture that another program has had made; a job of this page's own keeps the stage. */
export function showOnStage({ state }: ActionContext, picture: Picture): void {
  if (state.job.value) return;
  resetStage(state);
  state.pictures.value = [picture];
}

/** Fields that name a model; what the name stands for must be there. */
const MODEL_FIELDS = [
  ['checkpoint', 'checkpoint'],
  ['refinerCheckpoint', 'checkpoint'],
  ['vae', 'vae'],
  ...CONTROL_UNITS.map((unit) => [unitField(unit, 'Model'), 'controlnet'] as const),
] as const;

/**
 * Puts settings into the form and shows it. A model that is not in the catalogue is left alone: the picture is made
 * with the one in use.
 */
export function reuseSettings({ state }: ActionContext, values: Partial<FormValues>): void {
  const { checkpoints, models = [] } = state.catalog.value;
  const isThere = (kind: string, name: string) =>
    kind === 'checkpoint'
      ? checkpoints.some((each) => each.name === name)
      : models.some((each) => each.kind === kind && each.name === name);
  const usable = { ...values };
  for (const [field, kind] of MODEL_FIELDS) {
    const name = usable[field];
    if (name && !['Automatic', 'None'].includes(name) && !isThere(kind, name)) delete usable[field];
  }
  // Without its checkpoint there is no refiner.
  if (usable.refiner === 'on' && !usable.refinerCheckpoint) usable.refiner = 'off';
  batch(() => {
    setFields(state, usable);
    state.gallery.openId.value = null;
    state.view.value = 'create';
  });
}

/** Shows a picture of the gallery in PNG info. */
export async function sendToPngInfo(context: ActionContext, file: Blob): Promise<void> {
  await inspectPicture(context, file);
  batch(() => {
    context.state.gallery.openId.value = null;
    context.state.view.value = 'png-info';
  });
}

/** Reads what a dropped file says of how it was made. */
export async function inspectPicture({ state }: ActionContext, file: Blob): Promise<void> {
  state.inspected.value = { file, outcome: await inspect(file) };
}

async function inspect(file: Blob): Promise<InspectedPicture['outcome']> {
  if (file.size > MAX_PICTURE_BYTES) return 'too-large';
  try {
    return (await readPictureText(new Uint8Array(await file.arrayBuffer()))) ?? 'not-a-picture';
  } catch {
    return 'damaged';
  }
}

export function randomSeed(state: AppState): void {
  setFields(state, { seed: '-1' });
}
