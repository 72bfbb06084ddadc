import { buildGraph } from '../compiler/build-graph.ts';
import type { CompiledComponent, CompiledModel, ModelDescription } from '../compiler/model.ts';
import type { Runtime } from './runtime/runtime.ts';

export interface TrialOptions {
  readonly runtime: Runtime;
  readonly shardsOf: (component: CompiledComponent) => Promise<Blob[]>;
}

/** A1111's trial: tiny latents and a short text, all one value, at the noisiest timestep. */
const TRIAL = { latentHeight: 8, latentWidth: 8, tokens: 2, timestep: 999, value: 0.5 };
/** Mean difference of answer and latents below which the UNet predicts v. */
const V_LIMIT = -1;
/** Sides that the two kinds of SD 2 were trained for. */
const NATIVE_RESOLUTION = { epsilon: 512, v_prediction: 768 };

/**
 * A checkpoint's description with its prediction type found out where the files leave it open. SD 2's
 * 512 and 768 models differ in nothing else, so A1111's rule is used: the UNet is run once, and a mean
 * answer that lies far below its input is v (almost the negative of the picture), else epsilon.
 */
export async function settlePrediction(
  { description, components }: CompiledModel,
  { runtime, shardsOf }: TrialOptions,
): Promise<ModelDescription> {
  const unet = components.find(({ name }) => name === 'unet');
  if (!description.isPredictionAssumed || !unet) return description;
  const { latentHeight, latentWidth, tokens, timestep, value } = TRIAL;
  const shape = { batch: 1, latentHeight, latentWidth, tokens };
  const graph = buildGraph(unet, shape, { provider: runtime.device.provider });
  const session = await runtime.openSession(graph, {
    what: 'The UNet',
    shards: await shardsOf(unet),
  });
  try {
    const filled = (...sides: readonly number[]) =>
      runtime.tensor(
        new Float32Array(sides.reduce((product, side) => product * side, 1)).fill(value),
        sides,
      );
    const width = description.textEncoders.reduce((sum, { hiddenSize }) => sum + hiddenSize, 0);
    const { out_sample: answer } = await session.run({
      sample: filled(1, description.unetInChannels, latentHeight, latentWidth),
      timestep: runtime.tensor(Float32Array.of(timestep), [1]),
      encoder_hidden_states: filled(1, tokens, width),
    });
    const values = await answer?.read();
    answer?.dispose();
    if (!(values instanceof Float32Array)) throw new TypeError('the UNet has no output out_sample');
    const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
    const predictionType = mean - value < V_LIMIT ? 'v_prediction' : 'epsilon';
    return {
      ...description,
      predictionType,
      isPredictionAssumed: false,
      nativeResolution:
        predictionType === description.predictionType
          ? description.nativeResolution
          : NATIVE_RESOLUTION[predictionType],
      notes: [NOTES[predictionType]],
    };
  } finally {
    await session.release();
  }
}

const ADVICE =
  'If pictures come out as noise, put a file of the same name ending in .yaml beside the checkpoint, with the line';
const NOTES = {
  epsilon: `Nothing in this SD 2 checkpoint says what its UNet predicts; a trial run, as in A1111, said epsilon. ${ADVICE} "parameterization: v".`,
  v_prediction: `Nothing in this SD 2 checkpoint says what its UNet predicts; a trial run, as in A1111, said v. ${ADVICE} "parameterization: eps".`,
};
