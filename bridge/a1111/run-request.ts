import type { z } from 'zod';
import type { GenerationParams } from '../../protocol/generation.ts';
import { formatGenerationInfo } from '../../protocol/generation-info.ts';
import type { JobImage } from '../../protocol/job.ts';
import type { BridgeServices, JobResult } from '../services.ts';
import { batchGrid } from './batch-grid.ts';
import { returnedByproducts, savedByproducts, withByproducts } from './byproducts.ts';
import { listControlnets } from './controlnet/names.ts';
import { type ConversionContext, drawRandomSeed, fromImg2img, fromTxt2img } from './convert.ts';
import { gridFormatOf, savingOf } from './file-options.ts';
import { parseBody } from './json-body.ts';
import { applyOverrides, type OptionsView } from './options.ts';
import { describeJob, echo, type ImagesResponse, toImagesResponse } from './replies.ts';
import {
  type Img2imgRequest,
  img2imgRequest,
  type Txt2imgRequest,
  txt2imgRequest,
} from './schemas.ts';
import { type GenerationRequest, listVaeNames, type Route } from './scripts/axes.ts';
import type { ScriptPlan } from './scripts/plan.ts';
import { runPlan, type ScriptResult } from './scripts/run-plan.ts';
import { findScript } from './scripts/script-list.ts';
import type { SeriesBoard } from './series.ts';
import type { A1111Settings } from './settings.ts';

/** Everything around one request for pictures. */
export interface RequestSurroundings {
  readonly services: BridgeServices;
  readonly settings: A1111Settings;
  readonly view: OptionsView;
  readonly board: SeriesBoard;
  readonly client: string;
  /** The client's own key by which results are fetched again, or null. */
  readonly key: string | null;
  /** Aborted when the client hangs up. */
  readonly signal: AbortSignal;
  /** Gets the id of every job that the request becomes. */
  readonly onAccepted: (jobId: string) => void;
}

/** A request as it will be made: its parameters, and the settings that go with it. */
interface Prepared {
  readonly params: GenerationParams;
  readonly options: Readonly<Record<string, unknown>>;
  /** Options to keep afterwards, where the request asks for that. */
  readonly changes: Readonly<Record<string, unknown>>;
}

const SCHEMAS: Readonly<Record<Route, z.ZodType<GenerationRequest>>> = {
  txt2img: txt2imgRequest,
  img2img: img2imgRequest,
};

function savesImages(
  request: GenerationRequest,
  samplesSave: unknown,
  rule: A1111Settings['saveImages'],
): boolean {
  if (rule === 'requested') return request.save_images;
  return !request.do_not_save_samples && samplesSave !== false;
}

/** SHARK's own field for the checkpoint wins over the override, as it did there. */
function overridesOf(request: GenerationRequest): Record<string, unknown> {
  const overrides = { ...(request.override_settings ?? {}) };
  if (request.hf_model_id !== null) overrides.sd_model_checkpoint = request.hf_model_id;
  return overrides;
}

function convert(route: Route, request: GenerationRequest, context: ConversionContext) {
  return route === 'img2img'
    ? fromImg2img(request as Img2imgRequest, context)
    : fromTxt2img(request as Txt2imgRequest, context);
}

/** Reads requests against the options and lists as they stand now. */
async function createPreparer(route: Route, { services, settings, view }: RequestSurroundings) {
  const styles = (await settings.styles?.()) ?? [];
  const upscalers = (await services.models.list('esrgan')).map(({ name }) => name);
  const controlnets = await listControlnets(services.models);
  return (request: GenerationRequest): Prepared => {
    const { options, changes, ...rest } = applyOverrides(
      overridesOf(request),
      view,
      services.settings.get(),
    );
    const { checkpoints } = view;
    const lists = { styles, upscalers, controlnets, checkpoints };
    const params = convert(route, request, { ...rest, options, ...lists });
    return { params, options, changes };
  };
}

async function keepOverrides(
  request: GenerationRequest,
  { changes }: Prepared,
  { services }: RequestSurroundings,
): Promise<void> {
  const isKept = !request.override_settings_restore_afterwards;
  if (isKept && Object.keys(changes).length > 0) await services.settings.set(changes);
}

/** Runs one parsed request as a job, or as many as its script asks for, and resolves with A1111's reply. */
export async function runRequest(
  route: Route,
  request: GenerationRequest,
  surroundings: RequestSurroundings,
): Promise<ImagesResponse> {
  const { services, settings, view, client, signal, onAccepted } = surroundings;
  const prepare = await createPreparer(route, surroundings);
  const script = findScript(request.script_name, route);
  if (script?.plan) {
    const plan = script.plan(request.script_args, {
      ...{ route, request, drawSeed: drawRandomSeed },
      checkpoints: view.checkpoints,
      vaes: await listVaeNames(services.models),
    });
    return await runScript({ route, request, plan, prepare, surroundings });
  }
  const prepared = prepare(request);
  const { options } = prepared;
  const isSaving = savesImages(request, options.samples_save, settings.saveImages);
  const shown = request.send_images ? returnedByproducts(options) : [];
  const saved = isSaving ? savedByproducts(options) : [];
  const params = withByproducts(prepared.params, [...saved, ...shown]);
  for (const note of params.notes) settings.log?.(note);
  const acceptedAt = Date.now();
  const key = surroundings.key ?? request.force_task_id;
  const result = await services.jobs.submit(
    { params, client, key, saveImages: isSaving, saving: savingOf(options) },
    { signal, onAccepted },
  );
  await keepOverrides(request, prepared, surroundings);
  if (isSaving) saveBatchGrid(request, params, options, result, surroundings);
  return toImagesResponse(request, params, result, { timestamp: acceptedAt, isSaving, shown });
}

/** A1111 makes a grid of a request's pictures where it asks to save them; here the reply does not wait for it. */
function saveBatchGrid(
  request: GenerationRequest,
  params: GenerationParams,
  options: Prepared['options'],
  result: JobResult,
  { services, settings, client }: RequestSurroundings,
): void {
  if (!request.save_images || request.do_not_save_grid) return;
  const grid = batchGrid(result, params, options, gridFormatOf(options));
  if (!grid) return;
  services.jobs
    .submit({ params: grid, client, key: null, saveImages: true, saving: savingOf(options) })
    .catch((error: unknown) => settings.log?.(`The grid was not made: ${String(error)}`));
}

interface ScriptRun {
  readonly route: Route;
  readonly request: GenerationRequest;
  readonly plan: ScriptPlan;
  readonly prepare: (request: GenerationRequest) => Prepared;
  readonly surroundings: RequestSurroundings;
}

async function runScript({
  route,
  request,
  plan,
  prepare,
  surroundings,
}: ScriptRun): Promise<ImagesResponse> {
  const { services, settings, client, signal, onAccepted, board } = surroundings;
  // Read once more, as if each had been sent: an axis's value has a field's limits.
  const requests = plan.cells.map((changes) =>
    parseBody({ ...request, ...changes }, SCHEMAS[route]),
  );
  const prepared = requests.map(prepare);
  const base = prepare({ ...request, script_name: null });
  const { options } = base;
  const isSaving = savesImages(request, options.samples_save, settings.saveImages);
  const savesGrid = isSaving && options.grid_save !== false && !request.do_not_save_grid;
  const saved = isSaving ? savedByproducts(options) : [];
  const saving = savingOf(options);
  const key = surroundings.key ?? request.force_task_id;
  const acceptedAt = Date.now();
  for (const note of plan.notes) settings.log?.(note);
  const made = await runPlan(plan, {
    board,
    params: prepared.map(({ params }) => withByproducts(params, saved)),
    gridFormat: gridFormatOf(options),
    // A client with a key fetches the pictures later.
    isGone: () => signal.aborted && key === null,
    submit: (params, what, onJob) =>
      services.jobs.submit(
        { params, client, key, saveImages: what === 'grid' ? savesGrid : isSaving, saving },
        {
          ...(key === null ? { signal } : {}),
          onAccepted(jobId) {
            onJob(jobId);
            onAccepted(jobId);
          },
        },
      ),
  });
  await keepOverrides(request, base, surroundings);
  return toScriptResponse({ request, requests, plan, made, timestamp: acceptedAt, isSaving });
}

interface ScriptReply {
  readonly request: GenerationRequest;
  readonly requests: readonly GenerationRequest[];
  readonly plan: ScriptPlan;
  readonly made: ScriptResult;
  readonly timestamp: number;
  readonly isSaving: boolean;
}

/** A1111's reply to a script: grids first; `info` tells of every single picture, also of those not shown. */
function toScriptResponse(reply: ScriptReply): ImagesResponse {
  const { request, requests, plan, made, timestamp, isSaving } = reply;
  const cells = made.cells.filter((cell) => cell !== null);
  const [first] = cells;
  const firstPlace = made.cells.findIndex((cell) => cell !== null);
  if (!first) return emptyResponse(request, reply);
  const shown = plan.shown.flatMap(({ from, index }): JobImage[] => {
    const image = from === 'grids' ? made.grids[index] : made.cells[index]?.image;
    return image ? [image] : [];
  });
  const grids = plan.shown.flatMap(({ from, index }) => {
    const image = from === 'grids' ? made.grids[index] : null;
    return image ? [image] : [];
  });
  const context = { timestamp, isSaving };
  const info = describeJob(requests[firstPlace] ?? request, first.params, first.result, context);
  const notes = [...plan.notes, ...made.notes];
  const pictures = cells.map(({ image }) => image);
  // Without a grid its pictures are the answer.
  const answer = grids.length > 0 ? shown : pictures;
  return {
    images: request.send_images ? answer.map(({ data }) => data) : [],
    parameters: echo(request),
    info: formatGenerationInfo({
      ...info,
      prompts: pictures.map(({ prompt }) => prompt),
      negativePrompts: pictures.map(({ negativePrompt }) => negativePrompt),
      seeds: pictures.map(({ seed }) => seed),
      subseeds: pictures.map(({ subseed }) => subseed),
      extraParams:
        notes.length > 0
          ? { ...info.extraParams, 'Script notes': notes.join(' ') }
          : info.extraParams,
      indexOfFirstImage: grids.length > 0 ? 1 : 0,
      infotexts: [...grids, ...pictures].map(({ infotext }) => infotext),
    }),
  };
}

/** A script that was interrupted before its first picture. */
function emptyResponse(request: GenerationRequest, { made }: ScriptReply): ImagesResponse {
  const notes = made.notes.join(' ');
  return {
    images: [],
    parameters: echo(request),
    info: JSON.stringify({
      ...{ prompt: request.prompt, all_prompts: [], negative_prompt: request.negative_prompt },
      ...{ all_negative_prompts: [], seed: request.seed, all_seeds: [], all_subseeds: [] },
      ...{ subseed: request.subseed, width: request.width, height: request.height },
      ...{ infotexts: [], extra_generation_params: notes === '' ? {} : { 'Script notes': notes } },
    }),
  };
}
