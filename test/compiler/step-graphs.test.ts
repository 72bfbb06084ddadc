import { describe, expect, it } from 'vitest';
import {
  buildBlendGraph,
  buildCombineGraph,
  buildGuidanceGraph,
  buildPrepareGraph,
  guidanceCoefficients,
  inputScale,
  type LatentShape,
} from '../../web/compiler/step-graphs.ts';
import { createArrayLatentOps } from '../../web/engine/runtime/array-latent-ops.ts';
import { nodeRuntime } from '../fakes/engine-access.ts';
import { f32, maxDifference, runOnnx } from './lib/runtime.ts';

const shape: LatentShape = [2, 3, 4, 5];
const size = 120;

function noise(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

describe('combine', () => {
  it.each([1, 2, 3, 5])('%i terms', async (terms) => {
    const xs = Array.from({ length: terms }, (_, index) => noise(size, index + 1));
    const coefficients = [0.5, -2, 0.125, 3, -0.75].slice(0, terms);
    const feeds = Object.fromEntries(xs.map((x, index) => [`x${index}`, f32(x, shape)]));
    const { out } = await runOnnx(buildCombineGraph({ shape, terms }), {
      ...feeds,
      coefficients: f32(coefficients, [terms]),
    });
    const expected = Array.from({ length: size }, (_, at) =>
      xs.reduce((sum, x, index) => sum + coefficients[index]! * x[at]!, 0),
    );
    expect(out!.dims).toEqual(shape);
    expect(maxDifference(out!.data, expected)).toBeLessThan(1e-6);
  });

  it('needs a term', () => {
    expect(() => buildCombineGraph({ shape, terms: 0 })).toThrow(RangeError);
  });
});

describe('prepare', () => {
  it.each([1, 2] as const)('scales and repeats %i times along the batch', async (copies) => {
    const x = noise(size, 7);
    const scale = inputScale(14.6146);
    const { sample } = await runOnnx(buildPrepareGraph({ shape, copies }), {
      x: f32(x, shape),
      scale: f32([scale], [1]),
    });
    const once = [...x].map((value) => value * scale);
    expect(sample!.dims).toEqual([copies * 2, 3, 4, 5]);
    expect(maxDifference(sample!.data, copies === 1 ? once : [...once, ...once])).toBeLessThan(
      1e-7,
    );
  });
});

describe('what inpainting adds', () => {
  const [pictures, channels, height, width] = shape;
  const extra = noise(pictures * 4 * height * width, 3);
  const batch = { pictures, channels, height, width, inpaintChannels: extra };

  it.each([1, 2] as const)(
    'channels follow each picture, %i times, on both providers',
    async (copies) => {
      const x = noise(size, 7);
      const graph = buildPrepareGraph({ shape, copies, extraChannels: 4 });
      const { sample } = await runOnnx(graph, {
        x: f32(x, shape),
        scale: f32([0.25], [1]),
        extra: f32(extra, [pictures, 4, height, width]),
      });
      const made = await createArrayLatentOps(nodeRuntime(), batch).prepare(x, 0.25, copies);
      expect(sample!.dims).toEqual([copies * pictures, channels + 4, height, width]);
      expect(made.shape).toEqual(sample!.dims);
      expect(maxDifference(sample!.data, [...((await made.read()) as Float32Array)])).toBe(0);
      const plane = height * width;
      expect(sample!.data[channels * plane]).toBe(extra[0]);
      expect(sample!.data[(channels + 4 + channels) * plane]).toBe(extra[4 * plane]);
    },
  );

  it('a blend keeps what the mask does not let change', async () => {
    const [x, share, known] = [noise(size, 1), noise(size, 2), noise(size, 3)];
    const { out } = await runOnnx(buildBlendGraph({ shape }), {
      x: f32(x, shape),
      share: f32(share, shape),
      known: f32(known, shape),
    });
    const expected = [...x].map((value, i) => value * share[i]! + known[i]!);
    expect(maxDifference(out!.data, expected)).toBeLessThan(1e-6);
    const blend = createArrayLatentOps(nodeRuntime(), batch).createBlend(share, known);
    expect(maxDifference(out!.data, [...(await blend(x))])).toBeLessThan(1e-6);
  });
});

describe('guidance', () => {
  // k-diffusion's two denoisers and CFG, written out for one number.
  const denoise = {
    epsilon: (x: number, e: number, sigma: number) => x - sigma * e,
    v_prediction: (x: number, v: number, sigma: number) =>
      x / (sigma ** 2 + 1) - (v * sigma) / Math.sqrt(sigma ** 2 + 1),
  };

  for (const predictionType of ['epsilon', 'v_prediction'] as const) {
    for (const sigma of [14.6146, 1, 0.0292]) {
      it(`${predictionType} at sigma ${sigma}: cond rows first, then uncond rows`, async () => {
        const [x, cond, uncond] = [noise(size, 1), noise(size, 2), noise(size, 3)];
        const guidanceScale = 7;
        const { denoised } = await runOnnx(buildGuidanceGraph({ shape, copies: 2 }), {
          x: f32(x, shape),
          out_sample: f32([...cond, ...uncond], [4, 3, 4, 5]),
          coefficients: f32(
            guidanceCoefficients({ sigma, guidanceScale, predictionType, copies: 2 }),
            [3],
          ),
        });
        const expected = [...x].map((value, at) => {
          const c = denoise[predictionType](value, cond[at]!, sigma);
          const u = denoise[predictionType](value, uncond[at]!, sigma);
          return u + guidanceScale * (c - u);
        });
        expect(denoised!.dims).toEqual(shape);
        expect(maxDifference(denoised!.data, expected)).toBeLessThan(1e-5 * (1 + sigma));
      });
    }

    it(`${predictionType} without uncond rows leaves the guidance scale out`, async () => {
      const [x, cond] = [noise(size, 1), noise(size, 2)];
      const { denoised } = await runOnnx(buildGuidanceGraph({ shape, copies: 1 }), {
        x: f32(x, shape),
        out_sample: f32(cond, shape),
        coefficients: f32(
          guidanceCoefficients({ sigma: 2, guidanceScale: 7, predictionType, copies: 1 }),
          [2],
        ),
      });
      const expected = [...x].map((value, at) => denoise[predictionType](value, cond[at]!, 2));
      expect(maxDifference(denoised!.data, expected)).toBeLessThan(1e-6);
    });
  }
});
