import { describe, expect, test } from 'vitest';
import { formatGenerationInfo } from '../../../protocol/generation-info.ts';
import { formatInfotext, parseInfotext } from '../../../protocol/infotext.ts';
import type { InfotextInput } from '../../../protocol/infotext-values.ts';
import { SAMPLERS } from '../../../protocol/samplers.ts';
import { applyNamedStyles } from '../../../protocol/styles.ts';
import {
  type ConditioningPlan,
  type ConditioningRequest,
  type PassConditioning,
  planConditioning,
} from '../../../web/engine/prompt/plan.ts';
import { clip, readVectors } from './vectors.ts';

interface Request {
  prompt: string;
  negative_prompt: string;
  styles?: string[];
  seed: number;
  subseed: number;
  subseed_strength?: number;
  seed_enable_extras?: boolean;
  seed_resize_from_w?: number;
  seed_resize_from_h?: number;
  steps: number;
  width: number;
  height: number;
  cfg_scale: number;
  batch_size?: number;
  n_iter?: number;
  denoising_strength?: number;
  image_cfg_scale?: number;
  enable_hr?: boolean;
  hr_second_pass_steps?: number;
  hr_sampler_name?: string;
  hr_prompt?: string;
  hr_negative_prompt?: string;
  override_settings?: Record<string, unknown>;
}

/** A1111's `info` object, as far as the tests read it. */
interface Info {
  all_seeds: number[];
  all_subseeds: number[];
  sampler_name: string;
  extra_generation_params: Record<string, InfotextInput>;
  denoising_strength: number;
  subseed: number;
  job_timestamp: string;
  clip_skip: number;
}

interface Job {
  name: string;
  kind: 'txt2img' | 'img2img';
  request: Request;
  first_calls: [number, number[]][];
  encoded_texts: string[];
  infotexts: string[];
  info: string;
  error?: string;
}

const vectors = readVectors<{ jobs: Job[]; styles: [string, string, string][] }>('pipeline');
const jobs = vectors.jobs.filter((job) => job.error === undefined);
const styles = vectors.styles.map(([name, prompt, negativePrompt]) => ({
  name,
  prompt,
  negativePrompt,
}));

function styled(prompt: string, negativePrompt: string, { styles: names = [] }: Request) {
  return applyNamedStyles({ prompt, negativePrompt }, names, styles);
}

/** The vectors' stand-in for a text's conditioning. */
function textValue(text: string): number {
  const sum = new TextEncoder().encode(text).reduce((total, byte, i) => total + byte * (i + 1), 0);
  return (sum % 1009) / 1009;
}

function samplerOf(info: Info, name = info.sampler_name): { isSecondOrder: boolean } {
  return SAMPLERS.find((sampler) => sampler.name === name)!;
}

function planOf({ request, info }: Job): ConditioningPlan {
  const parsed = JSON.parse(info) as Info;
  const size = request.batch_size ?? 1;
  const repeated = (text: string): string[] => new Array<string>(size).fill(text);
  const own = styled(request.prompt, request.negative_prompt, request);
  const hires = styled(
    request.hr_prompt ?? request.prompt,
    request.hr_negative_prompt ?? request.negative_prompt,
    request,
  );
  const plan: ConditioningRequest = {
    prompts: repeated(own.prompt),
    negativePrompts: repeated(own.negativePrompt),
    steps: request.steps,
    isSecondOrder: samplerOf(parsed).isSecondOrder,
    tokenizers: [clip],
    useOldScheduling: request.override_settings?.use_old_scheduling === true,
    hires: request.enable_hr
      ? {
          prompts: repeated(hires.prompt),
          negativePrompts: repeated(hires.negativePrompt),
          steps: request.hr_second_pass_steps || request.steps,
          isSecondOrder: samplerOf(parsed, request.hr_sampler_name).isSecondOrder,
        }
      : null,
  };
  return planConditioning(plan);
}

/** Calls of the network by pass: a new one begins where the timestep goes up again. */
function passesOf({ first_calls, request }: Job): [number, number[]][][] {
  if (!request.enable_hr && (request.n_iter ?? 1) === 1) return [first_calls];
  const passes: [number, number[]][][] = [];
  for (const [index, call] of first_calls.entries()) {
    const before = first_calls[index - 1];
    if (!before || call[0] > before[0]) passes.push([]);
    passes.at(-1)!.push(call);
  }
  return passes;
}

function checkPass(
  plan: ConditioningPlan,
  pass: PassConditioning,
  job: Job,
  calls: number[][],
): void {
  const values = (group: number, row: number): number => textValue(plan.groups[group]!.texts[row]!);
  const apart = job.request.override_settings?.batch_cond_uncond === false;
  for (const [index, rows] of calls.entries()) {
    const call = apart ? Math.floor(index / 2) : index;
    const cond = pass
      .condAt(call)
      .flatMap((parts) => parts.map((part) => values(part.group, part.row)));
    const uncond = pass.uncondAt(call).map((ref) => values(ref.group, ref.row));
    const both = [...cond, ...uncond];
    // Where the negative prompt is skipped, or is asked for apart, a call has fewer rows.
    const allowed = apart ? [cond, uncond] : [both, ...(isUncondSkippable(job) ? [cond] : [])];
    const matches = allowed.some(
      (list) => list.length === rows.length && list.every((h, i) => Math.abs(h - rows[i]!) < 1e-5),
    );
    expect(matches, `call ${index}: ${rows} of ${both}`).toBe(true);
  }
}

function isUncondSkippable({ request, name }: Job): boolean {
  return request.cfg_scale === 1 || name.includes('NGMS') || name === 'early CFG skip';
}

describe('conditioning', () => {
  test.each(jobs)('$name', (job) => {
    const plan = planOf(job);
    expect([...new Set(plan.groups.flatMap(({ texts }) => texts))]).toEqual(job.encoded_texts);
    for (const [index, calls] of passesOf(job).entries()) {
      const isHires = plan.hiresPass !== null && index % 2 === 1;
      const pass = isHires ? plan.hiresPass! : plan.firstPass;
      checkPass(
        plan,
        pass,
        job,
        calls.map(([, rows]) => rows),
      );
    }
  });

  test('AND parts keep their weights, for each image', () => {
    const job = jobs.find(({ name }) => name === 'AND')!;
    const weights = planOf(job)
      .firstPass.condAt(0)
      .map((parts) => parts.map((part) => part.weight));
    expect(weights).toEqual([
      [1, 0.6, -0.3],
      [1, 0.6, -0.3],
    ]);
  });
});

/** What A1111 keeps apart for each picture and writes as null in `info`. */
function extraParamsOf({ request }: Job, info: Info): Record<string, InfotextInput> {
  return {
    ...info.extra_generation_params,
    ...(request.hr_prompt ? { 'Hires prompt': request.hr_prompt } : {}),
    ...(request.hr_negative_prompt ? { 'Hires negative prompt': request.hr_negative_prompt } : {}),
  };
}

describe('infotexts', () => {
  test.each(jobs)('$name', (job) => {
    const { request, infotexts } = job;
    const info = JSON.parse(job.info) as Info;
    const settings = request.override_settings ?? {};
    const usesEnsd = SAMPLERS.find((sampler) => sampler.name === info.sampler_name)!.usesEnsd;
    const hasExtras = request.seed_enable_extras !== false;
    const written = info.all_seeds.map((seed, index) =>
      formatInfotext({
        ...styled(request.prompt, request.negative_prompt, request),
        steps: request.steps,
        sampler: info.sampler_name,
        scheduler: 'Automatic',
        guidanceScale: request.cfg_scale,
        seed,
        width: request.width,
        height: request.height,
        modelHash: settings.add_model_hash_to_info === false ? null : '0123456789',
        model: settings.add_model_name_to_info === false ? null : 'toy-model',
        subseed: info.all_subseeds[index]!,
        subseedStrength: hasExtras ? (request.subseed_strength ?? 0) : 0,
        seedResizeFromWidth: request.seed_resize_from_w ?? 0,
        seedResizeFromHeight: request.seed_resize_from_h ?? 0,
        clipSkip: info.clip_skip,
        etaNoiseSeedDelta: usesEnsd ? ((settings.eta_noise_seed_delta as number) ?? null) : null,
        randnSource: settings.randn_source === 'CPU' ? 'CPU' : 'NV',
        extraParams: extraParamsOf(job, info),
        version: settings.add_version_to_infotext === false ? null : 'v1.10.1',
      }),
    );
    expect(written).toEqual(infotexts);
  });

  test.each(jobs)('are read again: $name', ({ request, infotexts }) => {
    const values = parseInfotext(infotexts[0]!);
    expect(values).toMatchObject({
      Steps: String(request.steps),
      'Size-1': String(request.width),
      ...(request.styles
        ? {}
        : { Prompt: request.prompt, 'Negative prompt': request.negative_prompt }),
    });
  });

  test.each(jobs)('info of $name', (job) => {
    const { request } = job;
    const info = JSON.parse(job.info) as Info;
    const prompts = styled(request.prompt, request.negative_prompt, request);
    const hasExtras = request.seed_enable_extras !== false;
    const written = formatGenerationInfo({
      prompts: info.all_seeds.map(() => prompts.prompt),
      negativePrompts: info.all_seeds.map(() => prompts.negativePrompt),
      seeds: info.all_seeds,
      subseeds: info.all_subseeds,
      subseedStrength: hasExtras ? (request.subseed_strength ?? 0) : 0,
      width: request.width,
      height: request.height,
      sampler: info.sampler_name,
      guidanceScale: request.cfg_scale,
      steps: request.steps,
      batchSize: request.batch_size ?? 1,
      restoreFaces: false,
      faceRestorationModel: null,
      model: 'toy-model',
      modelHash: '0123456789',
      vae: null,
      vaeHash: null,
      seedResizeFromWidth: hasExtras ? (request.seed_resize_from_w ?? -1) : 0,
      seedResizeFromHeight: hasExtras ? (request.seed_resize_from_h ?? -1) : 0,
      denoisingStrength: info.denoising_strength,
      extraParams: info.extra_generation_params,
      indexOfFirstImage: 0,
      infotexts: job.infotexts,
      styles: request.styles ?? [],
      jobTimestamp: info.job_timestamp,
      clipSkip: info.clip_skip,
      isUsingInpaintingConditioning: false,
      version: 'v1.10.1',
    });
    expect(written).toBe(job.info);
  });
});
