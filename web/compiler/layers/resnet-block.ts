import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, reshape, silu } from '../onnx/ops.ts';
import {
  conv2d,
  dimensions4,
  type GroupNormOptions,
  groupNorm,
  linearRows,
  moduleBias,
} from './basic.ts';

export interface ResnetOptions {
  readonly outChannels: number;
  readonly norm: GroupNormOptions;
  /** SiLU of the time embedding, [batch, features] or one row for all; none in a VAE. */
  readonly activatedTime?: Value;
}

/** diffusers' `ResnetBlock2D`: NCHW in, NCHW with `outChannels` out. */
export function resnetBlock(
  g: GraphBuilder,
  name: string,
  x: Value,
  { outChannels, norm, activatedTime }: ResnetOptions,
): Value {
  const [, inChannels] = dimensions4(x);
  return g.scope(name, () => {
    let hidden = silu(g, groupNorm(g, 'norm1', x, norm));
    hidden = firstConvolution(g, hidden, outChannels, activatedTime);
    hidden = silu(g, groupNorm(g, 'norm2', hidden, norm));
    hidden = conv2d(g, 'conv2', hidden, { outChannels, kernel: 3 });
    const shortcut =
      inChannels === outChannels ? x : conv2d(g, 'conv_shortcut', x, { outChannels, kernel: 1 });
    return add(g, shortcut, hidden);
  });
}

/** `conv1` and the time's share. One row of it is the same for all pictures, and so a bias: no pass of its own. */
function firstConvolution(
  g: GraphBuilder,
  x: Value,
  outChannels: number,
  activatedTime: Value | undefined,
): Value {
  const options = { outChannels, kernel: 3 };
  if (!activatedTime) return conv2d(g, 'conv1', x, options);
  const [rows = 1] = activatedTime.shape;
  if (rows === 1) {
    const own = moduleBias(g, 'conv1', outChannels);
    const time = linearRows(g, 'time_emb_proj', activatedTime, outChannels, own);
    return conv2d(g, 'conv1', x, { ...options, bias: reshape(g, time, [outChannels]) });
  }
  const hidden = conv2d(g, 'conv1', x, options);
  const time = linearRows(g, 'time_emb_proj', activatedTime, outChannels);
  return add(g, hidden, reshape(g, time, [rows, outChannels, 1, 1]));
}
