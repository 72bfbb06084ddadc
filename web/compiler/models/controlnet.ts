import { conv2d } from '../layers/basic.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, cast, mul, silu } from '../onnx/ops.ts';
import { downBlocks, enterUnet, midBlock, type UnetConfig, type UnetOptions } from './unet.ts';

/** diffusers' `ControlNetModel` (Zhang et al., arXiv:2302.05543): the first half of a UNet, beside it. */
export type ControlnetConfig = {
  readonly type: 'controlnet';
  /** The UNet that it was made from, without the way up. */
  readonly unet: UnetConfig;
  /** Channels of the control picture. */
  readonly hintChannels: number;
  /** Features of the control picture at each size, from its own down to the latents'. */
  readonly hintFeatures: readonly number[];
};

/** Pixels of the control picture per latent. */
function hintFactor({ hintFeatures }: ControlnetConfig): number {
  return 2 ** (hintFeatures.length - 1);
}

/**
 * A UNet's inputs, `controlnet_cond` [b, 3, H, W] in 0..1 and `conditioning_scale` [1] →
 * `control_down_0` … and `control_mid`: what is added to the UNet's skip connections and its middle,
 * times the scale.
 */
export function buildControlnet(
  g: GraphBuilder,
  config: ControlnetConfig,
  options: UnetOptions,
): void {
  const { batch, latentHeight, latentWidth } = options;
  const factor = hintFactor(config);
  const size = [latentHeight * factor, latentWidth * factor];
  const hint = g.input('controlnet_cond', 'float32', [batch, config.hintChannels, ...size]);
  const scale = cast(g, g.input('conditioning_scale', 'float32', [1]), g.dtype);
  const { pass, first } = enterUnet(g, config.unet, options);
  const start = add(g, first, hintEmbedding(g, config, cast(g, hint, g.dtype)));
  const skips = [start];
  const middle = midBlock(pass, downBlocks(pass, start, skips));
  const emit = (name: string, module: string, x: Value) => {
    const outChannels = x.shape[1] ?? 0;
    const residual = mul(g, conv2d(g, module, x, { outChannels, kernel: 1 }), scale);
    g.output(name, cast(g, residual, 'float32'));
  };
  skips.forEach((skip, index) => {
    emit(`control_down_${index}`, `controlnet_down_blocks.${index}`, skip);
  });
  emit('control_mid', 'controlnet_mid_block', middle);
}

/** Brings the control picture to the latents' size: two convolutions a size, the second halves. */
function hintEmbedding(
  g: GraphBuilder,
  { hintFeatures, unet }: ControlnetConfig,
  hint: Value,
): Value {
  return g.scope('controlnet_cond_embedding', () => {
    const conv = (name: string, x: Value, outChannels: number, stride = 1) =>
      conv2d(g, name, x, { outChannels, kernel: 3, stride, padding: 1 });
    let hidden = silu(g, conv('conv_in', hint, hintFeatures[0] ?? 0));
    hintFeatures.slice(1).forEach((features, index) => {
      const before = hintFeatures[index] ?? 0;
      hidden = silu(g, conv(`blocks.${2 * index}`, hidden, before));
      hidden = silu(g, conv(`blocks.${2 * index + 1}`, hidden, features, 2));
    });
    return conv('conv_out', hidden, unet.down[0]?.channels ?? 0);
  });
}
