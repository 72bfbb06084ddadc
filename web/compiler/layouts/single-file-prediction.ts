import { invalidModel, unsupportedModel } from '../errors.ts';
import { readText } from '../json-file.ts';
import type { ByteSource, ModelDescription, ModelFamily } from '../model.ts';
import type { SafetensorsHeader } from '../safetensors.ts';

/** What a single file's tensors do not tell of its training. */
export type TrainingFacts = Pick<
  ModelDescription,
  | 'predictionType'
  | 'isPredictionAssumed'
  | 'trainSteps'
  | 'betaStart'
  | 'betaEnd'
  | 'betaSchedule'
  | 'zeroTerminalSnr'
  | 'notes'
> & {
  /** Of the sidecar; null where it says none. */
  readonly scalingFactor: number | null;
};

export interface TrainingSources {
  readonly file: string;
  readonly header: SafetensorsHeader;
  readonly family: ModelFamily;
  /** The `.yaml` beside the file. */
  readonly sidecar: ByteSource | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Empty tensors that newer v-prediction checkpoints carry as marks. */
export const V_PREDICTION_MARK = 'v_pred';
export const ZERO_SNR_MARK = 'ztsnr';

type Prediction = ModelDescription['predictionType'];

const V_ASSUMED =
  'Nothing in this SD 2 checkpoint says what its UNet predicts; v-prediction was assumed, as in the 768-pixel models. If pictures come out as noise, put a file of the same name ending in .yaml beside it, with the line "parameterization: eps".';

/** The channels of latents, mask and masked latents that an inpainting UNet takes. */
const INPAINTING_CHANNELS = 9;

/**
 * What the UNet predicts and its noise schedule. The first of these counts: the sidecar `.yaml`, as for
 * A1111; the metadata `modelspec.prediction_type`; the mark `v_pred`; else epsilon for SD 1, SDXL and
 * inpainting models, and v for SD 2. That is an assumption, marked and said in a note: the 512 and the
 * 768 models of SD 2 have the same tensors, and A1111 tells them apart by running the UNet, which is
 * left to whoever has a runtime.
 */
export async function readTrainingFacts(sources: TrainingSources): Promise<TrainingFacts> {
  const { file, header, family, sidecar, signal } = sources;
  const yaml = sidecar ? await readSidecar(sidecar, signal) : null;
  const stated =
    yaml?.prediction ??
    metadataPrediction(file, header.metadata['modelspec.prediction_type']) ??
    (header.tensors.has(V_PREDICTION_MARK) ? 'v_prediction' : null);
  const inChannels = header.tensors.get('model.diffusion_model.input_blocks.0.0.weight')?.shape[1];
  const isAssumed = stated === null && family === 'sd2' && inChannels !== INPAINTING_CHANNELS;
  return {
    predictionType: stated ?? (isAssumed ? 'v_prediction' : 'epsilon'),
    isPredictionAssumed: isAssumed,
    trainSteps: yaml?.trainSteps ?? 1000,
    betaStart: yaml?.betaStart ?? 0.00085,
    betaEnd: yaml?.betaEnd ?? 0.012,
    betaSchedule: 'scaled_linear',
    zeroTerminalSnr: header.tensors.has(ZERO_SNR_MARK),
    scalingFactor: yaml?.scalingFactor ?? null,
    notes: isAssumed ? [V_ASSUMED] : [],
  };
}

function metadataPrediction(file: string, value: string | undefined): Prediction | null {
  const known: Readonly<Record<string, Prediction>> = {
    epsilon: 'epsilon',
    eps: 'epsilon',
    v: 'v_prediction',
    v_prediction: 'v_prediction',
  };
  if (value === undefined) return null;
  const prediction = Object.hasOwn(known, value) ? known[value] : undefined;
  if (prediction) return prediction;
  throw unsupportedModel(
    file,
    `its metadata "modelspec.prediction_type" is ${JSON.stringify(value)}; this version of Easel knows epsilon and v.`,
  );
}

interface Sidecar {
  readonly prediction: Prediction;
  readonly trainSteps: number | null;
  readonly betaStart: number | null;
  readonly betaEnd: number | null;
  readonly scalingFactor: number | null;
}

/**
 * The few lines of a sidecar that matter here. LDM's configurations are plain `key: value` lines, so
 * nothing more of YAML is read; the structure of the model comes from its tensors.
 */
async function readSidecar(sidecar: ByteSource, signal: AbortSignal | undefined): Promise<Sidecar> {
  const text = await readText(sidecar, signal ? { signal } : {});
  const value = (key: string): string | null => {
    const line = new RegExp(`^[ \\t]*${key}[ \\t]*:[ \\t]*(["']?)([^"'#\\r\\n]*)\\1`, 'm').exec(
      text,
    );
    return line?.[2]?.trim() || null;
  };
  const number = (key: string, isValid: (value: number) => boolean): number | null => {
    const found = value(key);
    if (found === null) return null;
    if (isValid(Number(found))) return Number(found);
    throw invalidModel(sidecar.path, `the line "${key}" holds ${JSON.stringify(found)}.`);
  };
  const isBeta = (beta: number) => beta > 0 && beta < 1;
  const parameterization = value('parameterization') ?? 'eps';
  if (parameterization !== 'eps' && parameterization !== 'v') {
    throw unsupportedModel(
      sidecar.path,
      `the line "parameterization" is ${JSON.stringify(parameterization)}; this version of Easel knows eps and v.`,
    );
  }
  return {
    prediction: parameterization === 'v' ? 'v_prediction' : 'epsilon',
    trainSteps: number(
      'timesteps',
      (steps) => Number.isInteger(steps) && steps >= 1 && steps <= 1e6,
    ),
    betaStart: number('linear_start', isBeta),
    betaEnd: number('linear_end', isBeta),
    scalingFactor: number('scale_factor', (factor) => factor > 0 && Number.isFinite(factor)),
  };
}
