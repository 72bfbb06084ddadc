import type { Catalog } from '../../protocol/catalog.ts';
import { GenerationError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import { findSampler, findScheduler } from '../../protocol/sampler-names.ts';
import {
  type AxisKind,
  type AxisValue,
  axisLabel,
  baseName,
  replaceInPrompts,
} from '../../protocol/scripts/axis-values.ts';

/** The axes that the page offers, by A1111's names. */
export const AXIS_NAMES = [
  'Nothing',
  'Prompt S/R',
  'Seed',
  'Steps',
  'CFG Scale',
  'Sampler',
  'Schedule type',
  'Denoising',
  'Checkpoint name',
  'Clip skip',
  'Hires upscaler',
] as const;
export type AxisName = (typeof AXIS_NAMES)[number];

/** What an axis's value is applied with. */
export interface AxisContext {
  /** All values of the axis: Prompt S/R looks for the first. */
  readonly all: readonly AxisValue[];
  readonly checkpoints: Catalog['checkpoints'];
}

export interface CompareAxis {
  readonly kind: AxisKind;
  /** An axis of higher cost changes less often. */
  readonly cost: number;
  /** What a value changes in a job. Throws `invalid-request` where it cannot. */
  readonly apply: (
    params: GenerationParams,
    value: AxisValue,
    context: AxisContext,
  ) => Partial<GenerationParams>;
  readonly label: (value: AxisValue) => string;
}

function refuse(message: string): GenerationError {
  return new GenerationError('invalid-request', message);
}

/** A value as it was typed, short enough for a sentence. */
function quoted(value: AxisValue): string {
  return `"${String(value).slice(0, 60)}"`;
}

function changeDenoising(params: GenerationParams, value: AxisValue): Partial<GenerationParams> {
  const denoisingStrength = Number(value);
  if (params.mode === 'img2img') return { denoisingStrength };
  if (params.hires) return { hires: { ...params.hires, denoisingStrength } };
  throw refuse('Denoising needs a picture to begin with, or Hires. fix.');
}

function changeUpscaler({ hires }: GenerationParams, value: AxisValue): Partial<GenerationParams> {
  if (hires) return { hires: { ...hires, upscaler: String(value) } };
  throw refuse('Hires upscaler needs Hires. fix.');
}

/** A checkpoint by its name, in any case, with or without the end of a file's name. */
function changeCheckpoint(value: AxisValue, { checkpoints }: AxisContext) {
  const plain = (name: string) => name.toLowerCase().replace(/\.safetensors$/, '');
  const text = String(value);
  const found =
    checkpoints.find(({ name }) => name === text) ??
    checkpoints.find(({ name }) => plain(name) === plain(text));
  if (found) return { checkpoint: found.name };
  throw refuse(`There is no checkpoint ${quoted(value)}.`);
}

function changeSampler(value: AxisValue): Partial<GenerationParams> {
  const sampler = findSampler(String(value));
  if (sampler) return { sampler };
  throw refuse(`There is no sampler ${quoted(value)}.`);
}

function changeScheduler(value: AxisValue): Partial<GenerationParams> {
  const scheduler = findScheduler(String(value));
  if (scheduler) return { scheduler };
  throw refuse(`There is no schedule type ${quoted(value)}.`);
}

type Apply = CompareAxis['apply'];

function axis(name: AxisName, kind: AxisKind, apply: Apply, more: Partial<CompareAxis> = {}) {
  return {
    ...{ kind, apply, cost: 0 },
    label: (value: AxisValue) => axisLabel(name, kind, value),
    ...more,
  };
}

export const COMPARE_AXES: Readonly<Record<AxisName, CompareAxis>> = {
  Nothing: axis('Nothing', 'text', () => ({}), { label: () => '' }),
  'Prompt S/R': axis(
    'Prompt S/R',
    'text',
    (params, value, { all }) => replaceInPrompts(params, value, all),
    { label: String },
  ),
  Seed: axis('Seed', 'integer', (_params, value) => ({ seed: Number(value) })),
  Steps: axis('Steps', 'integer', (_params, value) => ({ steps: Number(value) })),
  'CFG Scale': axis('CFG Scale', 'float', (_params, value) => ({ guidanceScale: Number(value) })),
  Sampler: axis('Sampler', 'text', (_params, value) => changeSampler(value), { label: String }),
  'Schedule type': axis('Schedule type', 'text', (_params, value) => changeScheduler(value)),
  Denoising: axis('Denoising', 'float', changeDenoising),
  'Checkpoint name': axis(
    'Checkpoint name',
    'text',
    (_params, value, context) => changeCheckpoint(value, context),
    { cost: 1, label: baseName },
  ),
  'Clip skip': axis('Clip skip', 'integer', (_params, value) => ({ clipSkip: Number(value) })),
  'Hires upscaler': axis('Hires upscaler', 'text', changeUpscaler),
};
