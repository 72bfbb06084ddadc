import type { ModelDescription } from '../../web/compiler/model.ts';
import type { DiffusionModel, TextContext, UnetCall } from '../../web/engine/diffusion-model.ts';
import { planConditioning } from '../../web/engine/prompt/plan.ts';
import { createClipTokenizer } from '../../web/engine/prompt/tokenizer.ts';
import { blendArrays } from '../../web/engine/runtime/array-latent-ops.ts';
import { createFloat32Math } from '../../web/engine/sampling/float32-math.ts';

/** The toy network of test/fixtures/vectors/pipeline.json: a few lines in the place of a checkpoint. */
export interface ToyModel extends DiffusionModel {
  /** Every call of the network: its timestep and the conditioning of its texts. */
  readonly calls: { timestep: number; texts: number[] }[];
  /** Latents of every batch as they left the sampler. */
  readonly samples: Float32Array[];
}

const FACTOR = 8;

const DESCRIPTION: ModelDescription = {
  family: 'sd1',
  predictionType: 'epsilon',
  isPredictionAssumed: false,
  trainSteps: 1000,
  betaStart: 0.00085,
  betaEnd: 0.012,
  betaSchedule: 'scaled_linear',
  zeroTerminalSnr: false,
  latentChannels: 4,
  vaeFactor: FACTOR,
  scalingFactor: 0.18215,
  shiftFactor: 0,
  unetInChannels: 4,
  unetInputs: { textEmbeds: null, timeIds: null, timestepCond: null },
  nativeResolution: 512,
  textEncoders: [],
  notes: [],
};

/** Conditioning of a text: one number that stands for all of its vectors. */
function conditioning(text: string): number {
  const bytes = new TextEncoder().encode(text);
  return (bytes.reduce((sum, byte, i) => sum + byte * (i + 1), 0) % 1009) / 1009;
}

export function createToyModel(): ToyModel {
  const calls: ToyModel['calls'] = [];
  const samples: Float32Array[] = [];
  const tokenizer = createClipTokenizer({ vocab: {}, merges: [], bosId: 0, eosId: 1, padId: 1 });
  const math = createFloat32Math();

  function network(x: number, timestep: number, h: number): number {
    return (0.2 + (0.7 * timestep) / 1000) * x + 0.1 * Math.sin(2 * x + timestep / 100 + 6 * h);
  }

  async function predict(x: Float32Array, call: UnetCall): Promise<Float32Array[]> {
    const texts = call.contexts.map(({ values }) => values[0]!);
    calls.push({ timestep: call.timestep, texts });
    const answers = texts.map((h) =>
      x.map((value) => network(Math.fround(value * call.inputScale), call.timestep, h)),
    );
    return call.mixes.map(([ofX, ...shares]) =>
      x.map((value, i) =>
        answers.reduce((sum, answer, k) => sum + shares[k]! * answer[i]!, ofX! * value),
      ),
    );
  }

  return {
    calls,
    samples,
    description: DESCRIPTION,
    planPrompts: (request) => planConditioning({ ...request, tokenizers: [tokenizer] }),
    async encodeTexts(group) {
      return group.texts.map(
        (text): TextContext => ({
          tokens: 1,
          values: Float32Array.of(conditioning(text)),
          textEmbeds: null,
        }),
      );
    },
    async encodeImage(image, height, width) {
      return encode(image, height, width);
    },
    async withLatents({ height, width }, use) {
      const size = 4 * height * width;
      let sampled = false;
      return use<Float32Array>({
        math,
        predict,
        createBlend: (share, known) => async (x) => blendArrays(x, share, known),
        async pace() {},
        sketch: null,
        async decode(latents, index) {
          if (!sampled) samples.push(latents);
          sampled = true;
          return decode(latents.subarray(index * size, (index + 1) * size), height, width);
        },
      });
    },
  };
}

/** Channel k of a block is the tanh of latent channel k. */
function decode(latents: Float32Array, height: number, width: number): Float32Array {
  const [rows, columns] = [height * FACTOR, width * FACTOR];
  const image = new Float32Array(3 * rows * columns);
  for (let k = 0; k < 3; k++) {
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const at = (k * height + Math.floor(y / FACTOR)) * width + Math.floor(x / FACTOR);
        image[(k * rows + y) * columns + x] = Math.tanh(latents[at]!);
      }
    }
  }
  return image;
}

/** Latent channel k is the mean of a block's channel k; the fourth is the mean of the three. */
function encode(image: Float32Array, rows: number, columns: number): Float32Array {
  const [height, width] = [rows / FACTOR, columns / FACTOR];
  const plane = height * width;
  const latents = new Float32Array(4 * plane);
  for (let k = 0; k < 3; k++) {
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const at = Math.floor(y / FACTOR) * width + Math.floor(x / FACTOR);
        latents[k * plane + at]! += image[(k * rows + y) * columns + x]! / FACTOR ** 2;
      }
    }
  }
  for (let i = 0; i < plane; i++) {
    latents[3 * plane + i] = (latents[i]! + latents[plane + i]! + latents[2 * plane + i]!) / 3;
  }
  return latents;
}
