import { GraphBuilder, type Value } from './onnx/graph-builder.ts';
import { add, concat, matMul, mul, reshape } from './onnx/ops.ts';
import { sizeOf } from './onnx/shapes.ts';

/** Latents of one call: [pictures, channels, height, width]. */
export type LatentShape = readonly [number, number, number, number];

/** What turns a latent and the UNet's answer into `denoised`. */
export interface GuidanceTerms {
  readonly sigma: number;
  readonly guidanceScale: number;
  readonly predictionType: 'epsilon' | 'v_prediction';
  /** 2: cond and uncond rows; 1: cond rows alone, `guidanceScale` is not used. */
  readonly copies: 1 | 2;
}

/**
 * `out` = Σ coefficients[i] · x_i. Inputs `x0` … of `shape`, `coefficients` f32 [terms]; output `out`
 * of `shape`. Any affine sampler step is one call.
 */
export function buildCombineGraph({
  shape,
  terms,
}: {
  shape: LatentShape;
  terms: number;
}): Uint8Array<ArrayBuffer> {
  if (!Number.isInteger(terms) || terms < 1) throw new RangeError(`${terms} terms`);
  const g = new GraphBuilder('combine');
  const rows = Array.from({ length: terms }, (_, index) =>
    flatRows(g, g.input(`x${index}`, 'float32', shape), 1),
  );
  g.output('out', weightedSum(g, rows, g.input('coefficients', 'float32', [terms]), shape));
  return g.encode();
}

/**
 * The UNet's input: `sample` = `x` · `scale`, `copies` times along the batch. Inputs `x` f32 of
 * `shape`, `scale` f32 [1] (see `inputScale`); output `sample` f32 [copies · pictures, c, h, w]. With
 * `extraChannels` a third input, `extra` f32 [pictures, extraChannels, h, w], follows the scaled channels as it is.
 */
export function buildPrepareGraph({
  shape,
  copies,
  extraChannels = 0,
}: {
  shape: LatentShape;
  copies: 1 | 2;
  extraChannels?: number;
}): Uint8Array<ArrayBuffer> {
  const g = new GraphBuilder('prepare');
  const scaled = mul(g, g.input('x', 'float32', shape), g.input('scale', 'float32', [1]));
  const [pictures, , height, width] = shape;
  const sample =
    extraChannels === 0
      ? scaled
      : concat(
          g,
          [scaled, g.input('extra', 'float32', [pictures, extraChannels, height, width])],
          1,
        );
  g.output('sample', copies === 1 ? sample : concat(g, [sample, sample], 0));
  return g.encode();
}

/** `out` = `x0`, `x1` … one after another along their first axis, each of its own shape. */
export function buildConcatGraph({
  shapes,
  dtype,
}: {
  shapes: readonly (readonly number[])[];
  dtype: 'float32' | 'int32';
}): Uint8Array<ArrayBuffer> {
  const g = new GraphBuilder('concat');
  const inputs = shapes.map((shape, index) => g.input(`x${index}`, dtype, shape));
  g.output('out', concat(g, inputs, 0));
  return g.encode();
}

/** `out` = `x` · `share` + `known`, each of `shape`: puts back what a mask does not let change. */
export function buildBlendGraph({ shape }: { shape: LatentShape }): Uint8Array<ArrayBuffer> {
  const g = new GraphBuilder('blend');
  const kept = mul(g, g.input('x', 'float32', shape), g.input('share', 'float32', shape));
  g.output('out', add(g, kept, g.input('known', 'float32', shape)));
  return g.encode();
}

/**
 * Classifier-free guidance and the step from the UNet's answer to `denoised`. Inputs `x` f32 of
 * `shape`, `out_sample` f32 [copies · pictures, c, h, w] (**cond rows first, then uncond rows**),
 * `coefficients` f32 [1 + copies] from `guidanceCoefficients`; output `denoised` f32 of `shape`.
 * Prediction type, sigma and scale are all in the coefficients, so one graph serves every step.
 */
export function buildGuidanceGraph({
  shape,
  copies,
}: {
  shape: LatentShape;
  copies: 1 | 2;
}): Uint8Array<ArrayBuffer> {
  const [pictures, ...rest] = shape;
  const g = new GraphBuilder('guidance');
  const rows = [
    flatRows(g, g.input('x', 'float32', shape), 1),
    flatRows(g, g.input('out_sample', 'float32', [copies * pictures, ...rest]), copies),
  ];
  const coefficients = g.input('coefficients', 'float32', [1 + copies]);
  g.output('denoised', weightedSum(g, rows, coefficients, shape));
  return g.encode();
}

/** Scale of the UNet's input at noise level `sigma`: 1 / sqrt(sigma² + 1) (k-diffusion's c_in). */
export function inputScale(sigma: number): number {
  return 1 / Math.sqrt(sigma * sigma + 1);
}

/**
 * Coefficients for `buildGuidanceGraph`: of `x`, of the cond rows and, with two copies, of the uncond
 * rows. denoised = c_skip · x + c_out · (uncond + scale · (cond − uncond)); for epsilon c_skip = 1 and
 * c_out = −sigma, for v c_skip = 1 / (sigma² + 1) and c_out = −sigma / sqrt(sigma² + 1)
 * (k-diffusion's CompVisDenoiser and CompVisVDenoiser).
 */
export function guidanceCoefficients({
  sigma,
  guidanceScale,
  predictionType,
  copies,
}: GuidanceTerms): Float32Array<ArrayBuffer> {
  const isEpsilon = predictionType === 'epsilon';
  const skip = isEpsilon ? 1 : 1 / (sigma * sigma + 1);
  const out = isEpsilon ? -sigma : -sigma / Math.sqrt(sigma * sigma + 1);
  return copies === 1
    ? Float32Array.of(skip, out)
    : Float32Array.of(skip, out * guidanceScale, out * (1 - guidanceScale));
}

/** `x` as a matrix of `rows` rows. */
function flatRows(g: GraphBuilder, x: Value, rows: number): Value {
  return reshape(g, x, [rows, sizeOf(x.shape) / rows]);
}

/** One matrix product makes the whole sum: two dispatches for any number of terms. */
function weightedSum(
  g: GraphBuilder,
  rows: readonly Value[],
  coefficients: Value,
  shape: LatentShape,
): Value {
  const terms = coefficients.shape[0] ?? 1;
  const matrix = rows.length === 1 ? rows[0] : concat(g, rows, 0);
  if (!matrix) throw new RangeError('no terms');
  return reshape(g, matMul(g, reshape(g, coefficients, [1, terms]), matrix), shape);
}
