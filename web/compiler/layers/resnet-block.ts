import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, reshape, silu } from '../onnx/ops.ts';
import { conv2d, dimensions4, type GroupNormOptions, groupNorm, linearRows } from './basic.ts';

export interface ResnetOptions {
  readonly outChannels: number;
  readonly norm: GroupNormOptions;
  /** SiLU of the time embedding [batch, features]; none in a VAE. */
  readonly activatedTime?: Value;
}

/** diffusers' `ResnetBlock2D`: NCHW in, NCHW with `outChannels` out. */
export function resnetBlock(
  g: GraphBuilder,
  name: string,
  x: Value,
  { outChannels, norm, activatedTime }: ResnetOptions,
): Value {
  const [batch, inChannels] = dimensions4(x);
  return g.scope(name, () => {
    let hidden = silu(g, groupNorm(g, 'norm1', x, norm));
    hidden = conv2d(g, 'conv1', hidden, { outChannels, kernel: 3 });
    if (activatedTime) {
      const time = linearRows(g, 'time_emb_proj', activatedTime, outChannels);
      hidden = add(g, hidden, reshape(g, time, [batch, outChannels, 1, 1]));
    }
    hidden = silu(g, groupNorm(g, 'norm2', hidden, norm));
    hidden = conv2d(g, 'conv2', hidden, { outChannels, kernel: 3 });
    const shortcut =
      inChannels === outChannels ? x : conv2d(g, 'conv_shortcut', x, { outChannels, kernel: 1 });
    return add(g, shortcut, hidden);
  });
}
