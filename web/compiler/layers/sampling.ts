import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { resizeNearest } from '../onnx/ops.ts';
import { conv2d, dimensions4 } from './basic.ts';

/** diffusers' `Downsample2D` of a UNet: a 3×3 convolution of stride 2, padded on all sides. */
export function downsample(g: GraphBuilder, name: string, x: Value): Value {
  const [, outChannels] = dimensions4(x);
  return conv2d(g, `${name}.conv`, x, { outChannels, kernel: 3, stride: 2, padding: 1 });
}

/** `Downsample2D` of a VAE: padded at the bottom and right only. */
export function downsampleAsymmetric(g: GraphBuilder, name: string, x: Value): Value {
  const [, outChannels] = dimensions4(x);
  const padding = [0, 0, 1, 1] as const;
  return conv2d(g, `${name}.conv`, x, { outChannels, kernel: 3, stride: 2, padding });
}

/**
 * diffusers' `Upsample2D`: nearest neighbour, then a 3×3 convolution. The size is given, since a
 * skip connection of odd size is not twice the lower level.
 */
export function upsample(
  g: GraphBuilder,
  name: string,
  x: Value,
  { height, width }: { height: number; width: number },
): Value {
  const [, outChannels] = dimensions4(x);
  return g.scope(name, () =>
    conv2d(g, 'conv', resizeNearest(g, x, height, width), { outChannels, kernel: 3 }),
  );
}
