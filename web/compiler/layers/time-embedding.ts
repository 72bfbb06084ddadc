import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, floats, mul, reshape, scalar, sub, unary } from '../onnx/ops.ts';

export interface SinusoidOptions {
  readonly features: number;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
}

const MAX_PERIOD = 10000;

/**
 * diffusers' `Timesteps`: [batch] → [batch, features] of sines and cosines of
 * t · 10000^(−i / (half − freqShift)).
 *
 * GPUs take sines of large angles badly (WGSL promises nothing beyond ±π), and timesteps reach 999
 * radians; so angles are counted in turns, whole turns are dropped, and a cosine is a sine a quarter
 * turn later.
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
  const [firstPhase, secondPhase] = flipSinToCos ? [0.25, 0] : [0, 0.25];
  const phases = Array.from({ length: features }, (_, index) =>
    index < half ? firstPhase : secondPhase,
  );
  const wide = { dtype: 'float32' } as const;
  const column = reshape(g, timestep, [batch, 1]);
  const turned = mul(g, column, floats(g, wide, [1, features], [...turns, ...turns]));
  const whole = add(g, turned, floats(g, wide, [1, features], phases));
  const fraction = sub(g, whole, unary(g, 'Floor', whole));
  return unary(g, 'Sin', mul(g, fraction, scalar(g, wide, 2 * Math.PI)));
}
