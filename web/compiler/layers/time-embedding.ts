import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, floats, mul, reshape, scalar, sub, unary } from '../onnx/ops.ts';

export interface SinusoidOptions {
  readonly features: number;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
}

const MAX_PERIOD = 10000;

/** sin(2πw) ≈ w · Σ c_k w^2k on −¼..¼, off by at most 6e-7 (least largest error, fitted). */
const SINE = [6.28316404, -41.33714237, 81.34076877, -70.9934322];

/**
 * diffusers' `Timesteps`: [batch] → [batch, features] of sines and cosines of
 * t · 10000^(−i / (half − freqShift)).
 *
 * WGSL promises a sine no better than 2^-11 and only within ±π, while timesteps reach 999 radians and
 * an error of that size shows in the UNet's output. So angles are counted in turns, whole turns are
 * dropped, and a polynomial of plain sums and products gives the same numbers on every device.
 */
export function timestepSinusoid(
  g: GraphBuilder,
  timestep: Value,
  { features, flipSinToCos, freqShift }: SinusoidOptions,
): Value {
  const half = features / 2;
  if (!Number.isInteger(half)) throw new RangeError(`${features} features are no pairs`);
  const [batch = 1] = timestep.shape;
  const turns = Array.from(
    { length: half },
    (_, index) => MAX_PERIOD ** (-index / (half - freqShift)) / (2 * Math.PI),
  );
  // A sine is a cosine a quarter turn later.
  const [firstPhase, secondPhase] = flipSinToCos ? [0, -0.25] : [-0.25, 0];
  const phases = Array.from({ length: features }, (_, index) =>
    index < half ? firstPhase : secondPhase,
  );
  const wide = { dtype: 'float32' } as const;
  const column = reshape(g, timestep, [batch, 1]);
  const turned = mul(g, column, floats(g, wide, [1, features], [...turns, ...turns]));
  return cosineOfTurns(g, add(g, turned, floats(g, wide, [1, features], phases)));
}

/** cos(2πx) = sin(2πw) with w = |fraction of x − ½| − ¼, which is within ±¼. */
function cosineOfTurns(g: GraphBuilder, x: Value): Value {
  const constant = (value: number) => scalar(g, x, value);
  const fraction = sub(g, x, unary(g, 'Floor', x));
  const w = sub(g, unary(g, 'Abs', sub(g, fraction, constant(0.5))), constant(0.25));
  const square = mul(g, w, w);
  const [last = 0, ...lower] = SINE.toReversed();
  let sum = constant(last);
  for (const coefficient of lower) sum = add(g, mul(g, sum, square), constant(coefficient));
  return mul(g, sum, w);
}
