import {
  type AxisKind,
  type AxisValue,
  axisLabel,
  baseName,
  formatAxisValue,
  replaceInPrompts,
} from '../../../protocol/scripts/axis-values.ts';
import type { BridgeServices } from '../../services.ts';
import type { CheckpointEntry } from '../checkpoints.ts';
import { findCheckpoint } from '../checkpoints.ts';
import { ApiError } from '../errors.ts';
import { chooseSampler } from '../sampler-choice.ts';
import type { Img2imgRequest, Txt2imgRequest } from '../schemas.ts';

export type GenerationRequest = Txt2imgRequest | Img2imgRequest;
export type Route = 'txt2img' | 'img2img';

/** What an axis's names are looked up in. */
export interface AxisContext {
  readonly checkpoints: readonly CheckpointEntry[];
  readonly vaes: readonly string[];
}

/** A request's fields as a cell changes them; they are read again as if they had been sent. */
export type Changes = Readonly<Record<string, unknown>>;

export interface Axis {
  readonly label: string;
  readonly kind: AxisKind;
  /** null: both. */
  readonly route: Route | null;
  /** Axes of high cost change least often. */
  readonly cost: number;
  /** A1111 takes these from a menu, not from text, unless it is told otherwise. */
  readonly hasMenu: boolean;
  /** Set where nothing here reads what it changes. */
  readonly hasNoEffect: boolean;
  apply(
    request: GenerationRequest,
    value: AxisValue,
    all: readonly AxisValue[],
    context: AxisContext,
  ): Changes;
  format(value: AxisValue): string;
}

type Apply = Axis['apply'];

function axis(
  label: string,
  kind: AxisKind,
  apply: Apply,
  more: Partial<Pick<Axis, 'route' | 'cost' | 'hasMenu' | 'hasNoEffect' | 'format'>> = {},
): Axis {
  return {
    label,
    kind,
    apply,
    ...{ route: null, cost: 0, hasMenu: false, hasNoEffect: false },
    format: (value) => axisLabel(label, kind, value),
    ...more,
  };
}

const field =
  (name: string): Apply =>
  (_request, value) => ({ [name]: value });

const override =
  (name: string): Apply =>
  (request, value) => ({ override_settings: { ...request.override_settings, [name]: value } });

const plain = (value: AxisValue) => formatAxisValue(value, 'float');

const txt2img = { route: 'txt2img' } as const;
const img2img = { route: 'img2img' } as const;
const menu = { hasMenu: true } as const;
const inert = { hasNoEffect: true } as const;

function replacePrompts(request: GenerationRequest, value: AxisValue, all: readonly AxisValue[]) {
  const { prompt, negative_prompt: negativePrompt } = request;
  const replaced = replaceInPrompts({ prompt, negativePrompt }, value, all);
  return { prompt: replaced.prompt, negative_prompt: replaced.negativePrompt };
}

/** The words of an order put where they stand in the prompt, first word to first place. */
function orderPrompt({ prompt }: GenerationRequest, value: AxisValue) {
  const words = Array.isArray(value) ? (value as readonly string[]) : [String(value)];
  const inPlace = words.toSorted((a, b) => prompt.indexOf(a) - prompt.indexOf(b));
  let rest = prompt;
  let ordered = '';
  for (const [index, word] of inPlace.entries()) {
    const at = rest.indexOf(word);
    if (at < 0) {
      throw new ApiError(422, `Prompt order did not find ${word.slice(0, 200)} in the prompt.`);
    }
    ordered += rest.slice(0, at) + (words[index] ?? '');
    rest = rest.slice(at + word.length);
  }
  return { prompt: ordered + rest };
}

const chooseSamplerFor =
  (name: string): Apply =>
  (_request, value) => {
    const text = String(value);
    if (chooseSampler(text, null).notes.length > 0) {
      throw new ApiError(422, `Unknown sampler: ${text.slice(0, 200)}`);
    }
    return { [name]: text };
  };

const NO_NAMES: readonly string[] = ['', 'None', 'none'];

function checkpointName(value: AxisValue, { checkpoints }: AxisContext): string {
  const found = findCheckpoint(checkpoints, String(value));
  if (found) return found.title;
  throw new ApiError(422, `Unknown checkpoint: ${String(value).slice(0, 200)}`);
}

/** A1111 finds a VAE by a part of its name, the shortest name first. */
function findVae(value: AxisValue, { vaes }: AxisContext): string {
  const wanted = String(value).trim().toLowerCase();
  if (wanted === 'none') return 'None';
  if (wanted === 'auto' || wanted === 'automatic') return 'Automatic';
  const byLength = vaes.toSorted((a, b) => a.length - b.length);
  return byLength.find((name) => name.toLowerCase().includes(wanted)) ?? 'Automatic';
}

function sizeOf(value: AxisValue): Changes {
  const [, width, height] = /^\s*(\d+)\s*[x×]\s*(\d+)\s*$/i.exec(String(value)) ?? [];
  if (width === undefined || height === undefined) {
    throw new ApiError(422, `Size: "${String(value).slice(0, 60)}" is not like 512x768.`);
  }
  return { width: Number(width), height: Number(height) };
}

const vae: Apply = (request, value, _all, context) => ({
  override_settings: { ...request.override_settings, sd_vae: findVae(value, context) },
});

const checkpoint: Apply = (request, value, _all, context) => ({
  hf_model_id: null,
  override_settings: {
    ...request.override_settings,
    sd_model_checkpoint: checkpointName(value, context),
  },
});

const refiner: Apply = (_request, value, _all, context) => ({
  refiner_checkpoint: NO_NAMES.includes(String(value)) ? null : checkpointName(value, context),
});

const clipSkip: Apply = (request, value) => ({
  clip_skip: null,
  override_settings: { ...request.override_settings, CLIP_stop_at_last_layers: value },
});

const styles: Apply = (request, value) => ({
  styles: [...(request.styles ?? []), ...String(value).split(',')],
});

const uniPcOrder: Apply = (request, value) => ({
  override_settings: {
    ...request.override_settings,
    uni_pc_order: Math.max(1, Math.min(Number(value), request.steps - 1)),
  },
});

const noiseMultiplier: Apply = (request, value) =>
  'initial_noise_multiplier' in request ? { initial_noise_multiplier: value } : {};

/**
 * A1111 v1.10.1's axes in its order: a client names one by its place among those of its route. Which of them do
 * nothing here is said in the reply.
 */
const AXES: readonly Axis[] = [
  axis('Nothing', 'text', () => ({}), { format: () => '' }),
  axis('Seed', 'integer', field('seed')),
  axis('Var. seed', 'integer', field('subseed')),
  axis('Var. strength', 'float', field('subseed_strength')),
  axis('Steps', 'integer', field('steps')),
  axis('Hires steps', 'integer', field('hr_second_pass_steps'), txt2img),
  axis('CFG Scale', 'float', field('cfg_scale')),
  axis('Image CFG Scale', 'float', field('image_cfg_scale'), { ...img2img, ...inert }),
  axis('Prompt S/R', 'text', replacePrompts, { format: plain }),
  axis('Prompt order', 'permutations', orderPrompt, { format: plain }),
  axis('Sampler', 'text', chooseSamplerFor('sampler_name'), { ...txt2img, ...menu, format: plain }),
  axis('Hires sampler', 'text', chooseSamplerFor('hr_sampler_name'), { ...txt2img, ...menu }),
  axis('Sampler', 'text', chooseSamplerFor('sampler_name'), { ...img2img, ...menu, format: plain }),
  axis('Checkpoint name', 'text', checkpoint, { ...menu, cost: 1, format: baseName }),
  axis('Negative Guidance minimum sigma', 'float', field('s_min_uncond')),
  axis('Sigma Churn', 'float', field('s_churn')),
  axis('Sigma min', 'float', field('s_tmin')),
  axis('Sigma max', 'float', field('s_tmax')),
  axis('Sigma noise', 'float', field('s_noise')),
  axis('Schedule type', 'text', field('scheduler'), menu),
  axis('Schedule min sigma', 'float', override('sigma_min')),
  axis('Schedule max sigma', 'float', override('sigma_max')),
  axis('Schedule rho', 'float', override('rho')),
  axis('Beta schedule alpha', 'float', override('beta_dist_alpha')),
  axis('Beta schedule beta', 'float', override('beta_dist_beta')),
  axis('Eta', 'float', field('eta')),
  axis('Clip skip', 'integer', clipSkip),
  axis('Denoising', 'float', field('denoising_strength')),
  axis('Initial noise multiplier', 'float', noiseMultiplier),
  axis('Extra noise', 'float', override('img2img_extra_noise')),
  axis('Hires upscaler', 'text', field('hr_upscaler'), { ...txt2img, ...menu }),
  axis('Cond. Image Mask Weight', 'float', override('inpainting_mask_weight'), img2img),
  axis('VAE', 'text', vae, { ...menu, cost: 0.7 }),
  axis('Styles', 'text', styles, menu),
  axis('UniPC Order', 'integer', uniPcOrder, { cost: 0.5 }),
  axis('Face restore', 'text', () => ({}), { ...inert, format: plain }),
  axis('Token merging ratio', 'float', override('token_merging_ratio')),
  axis('Token merging ratio high-res', 'float', override('token_merging_ratio_hr')),
  axis(
    'Always discard next-to-last sigma',
    'text',
    override('always_discard_next_to_last_sigma'),
    menu,
  ),
  axis('SGM noise multiplier', 'text', override('sgm_noise_multiplier'), menu),
  axis('Refiner checkpoint', 'text', refiner, { ...menu, cost: 1, format: baseName }),
  axis('Refiner switch at', 'float', field('refiner_switch_at')),
  axis('RNG source', 'text', override('randn_source'), menu),
  axis('FP8 mode', 'text', () => ({}), { ...menu, ...inert, cost: 0.9 }),
  axis('Size', 'text', (_request, value) => sizeOf(value)),
];

/** The axes of one route, in the order in which clients count them. */
export function axesOf(route: Route): readonly Axis[] {
  return AXES.filter((entry) => entry.route === null || entry.route === route);
}

/** The axis that a client means, by its place or its label. */
export function findAxis(route: Route, wanted: unknown): Axis {
  const axes = axesOf(route);
  const found =
    typeof wanted === 'string' && !/^\s*\d+\s*$/.test(wanted)
      ? axes.find(({ label }) => label.toLowerCase() === wanted.trim().toLowerCase())
      : axes[Number(wanted ?? 0)];
  if (found) return found;
  throw new ApiError(422, `X/Y/Z plot: there is no axis ${JSON.stringify(wanted)?.slice(0, 60)}.`);
}

/** Names of VAEs for `AxisContext`. */
export async function listVaeNames(models: BridgeServices['models']): Promise<readonly string[]> {
  return (await models.list('vae')).map(({ name }) => name);
}
