import { multiHeadAttention } from '../layers/attention.ts';
import {
  conv2d,
  dimensions4,
  groupNorm,
  linear,
  project,
  toPicture,
  toTokens,
} from '../layers/basic.ts';
import { resnetBlock } from '../layers/resnet-block.ts';
import { downsampleAsymmetric, upsample } from '../layers/sampling.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, clip, mul, scalar, silu, split, unary } from '../onnx/ops.ts';

/** diffusers' `AutoencoderKL`. */
export type AutoencoderKlConfig = {
  readonly type: 'autoencoder-kl';
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly normGroups: number;
  readonly scalingFactor: number;
  readonly shiftFactor: number;
  readonly midBlockAttention: boolean;
  readonly quantConv: boolean;
  readonly postQuantConv: boolean;
};

export interface VaeOptions {
  readonly batch: number;
  readonly latentHeight: number;
  readonly latentWidth: number;
}

const NORM_EPSILON = 1e-6;

/** Pixels per latent: every level but the last halves the picture. */
export function vaeFactor({ blockOutChannels }: AutoencoderKlConfig): number {
  return 2 ** (blockOutChannels.length - 1);
}

/** `sample` [b, 3, H, W] in −1..1 → `latent_mean`, `latent_std` [b, c, h, w], not scaled. */
export function buildVaeEncoder(
  g: GraphBuilder,
  config: AutoencoderKlConfig,
  { batch, latentHeight, latentWidth }: VaeOptions,
): void {
  const factor = vaeFactor(config);
  const [height, width] = [latentHeight * factor, latentWidth * factor];
  const sample = g.input('sample', 'float32', [batch, config.inChannels, height, width]);
  const { blockOutChannels, latentChannels } = config;
  let moments = g.scope('encoder', () => {
    const outChannels = blockOutChannels[0] ?? 0;
    let hidden = conv2d(g, 'conv_in', sample, { outChannels, kernel: 3 });
    blockOutChannels.forEach((channels, index) => {
      g.scope(`down_blocks.${index}`, () => {
        for (let layer = 0; layer < config.layersPerBlock; layer++) {
          hidden = resnet(g, config, `resnets.${layer}`, hidden, channels);
        }
        if (index < blockOutChannels.length - 1) {
          hidden = downsampleAsymmetric(g, 'downsamplers.0', hidden);
        }
      });
    });
    return outBlock(g, config, midBlock(g, config, hidden), 2 * latentChannels);
  });
  if (config.quantConv) {
    moments = conv2d(g, 'quant_conv', moments, { outChannels: 2 * latentChannels, kernel: 1 });
  }
  const [mean, logVariance] = split(g, moments, 2, 1);
  if (!mean || !logVariance) throw new Error('two halves');
  g.output('latent_mean', mean);
  const halved = mul(g, clip(g, logVariance, -30, 20), scalar(g, logVariance, 0.5));
  g.output('latent_std', unary(g, 'Exp', halved));
}

/** `latents` [b, c, h, w] on the sampler's scale → `image` [b, 3, H, W], about −1..1. */
export function buildVaeDecoder(
  g: GraphBuilder,
  config: AutoencoderKlConfig,
  { batch, latentHeight, latentWidth }: VaeOptions,
): void {
  const { blockOutChannels, latentChannels } = config;
  const shape = [batch, latentChannels, latentHeight, latentWidth];
  let hidden = unscale(g, config, g.input('latents', 'float32', shape));
  if (config.postQuantConv) {
    hidden = conv2d(g, 'post_quant_conv', hidden, { outChannels: latentChannels, kernel: 1 });
  }
  const levels = blockOutChannels.toReversed();
  const image = g.scope('decoder', () => {
    hidden = conv2d(g, 'conv_in', hidden, { outChannels: levels[0] ?? 0, kernel: 3 });
    hidden = midBlock(g, config, hidden);
    levels.forEach((channels, index) => {
      g.scope(`up_blocks.${index}`, () => {
        for (let layer = 0; layer <= config.layersPerBlock; layer++) {
          hidden = resnet(g, config, `resnets.${layer}`, hidden, channels);
        }
        if (index < levels.length - 1) {
          const [, , height, width] = dimensions4(hidden);
          const size = { height: 2 * height, width: 2 * width };
          hidden = upsample(g, 'upsamplers.0', hidden, size);
        }
      });
    });
    return outBlock(g, config, hidden, config.outChannels);
  });
  g.output('image', image);
}

/** From the sampler's scale to the VAE's: latents / scaling factor + shift. */
function unscale(g: GraphBuilder, config: AutoencoderKlConfig, latents: Value): Value {
  const { scalingFactor, shiftFactor } = config;
  const scaled =
    scalingFactor === 1 ? latents : mul(g, latents, scalar(g, latents, 1 / scalingFactor));
  return shiftFactor === 0 ? scaled : add(g, scaled, scalar(g, latents, shiftFactor));
}

function resnet(
  g: GraphBuilder,
  config: AutoencoderKlConfig,
  name: string,
  x: Value,
  outChannels: number,
): Value {
  const norm = { groups: config.normGroups, epsilon: NORM_EPSILON };
  return resnetBlock(g, name, x, { outChannels, norm });
}

function midBlock(g: GraphBuilder, config: AutoencoderKlConfig, x: Value): Value {
  const [, channels] = dimensions4(x);
  return g.scope('mid_block', () => {
    let hidden = resnet(g, config, 'resnets.0', x, channels);
    if (config.midBlockAttention) hidden = selfAttention(g, config, hidden);
    return resnet(g, config, 'resnets.1', hidden, channels);
  });
}

/** diffusers' `Attention` over pixels, one head of all channels. */
function selfAttention(g: GraphBuilder, config: AutoencoderKlConfig, x: Value): Value {
  const [, channels, height, width] = dimensions4(x);
  return g.scope('attentions.0', () => {
    const norm = { groups: config.normGroups, epsilon: NORM_EPSILON };
    const tokens = toTokens(g, groupNorm(g, 'group_norm', x, norm));
    const [q, k, v] = [
      project(g, 'to_q', tokens, channels),
      project(g, 'to_k', tokens, channels),
      project(g, 'to_v', tokens, channels),
    ];
    const parts = ['to_q.bias', 'to_k.bias', 'to_v.bias'];
    const bias = g.weight('qkv.bias', [3 * channels], { parts });
    const attended = multiHeadAttention(g, { q, k, v }, { heads: 1, bias });
    const out = linear(g, 'to_out.0', attended, channels);
    return add(g, toPicture(g, out, height, width), x);
  });
}

function outBlock(
  g: GraphBuilder,
  config: AutoencoderKlConfig,
  x: Value,
  outChannels: number,
): Value {
  const norm = { groups: config.normGroups, epsilon: NORM_EPSILON };
  const hidden = silu(g, groupNorm(g, 'conv_norm_out', x, norm));
  return conv2d(g, 'conv_out', hidden, { outChannels, kernel: 3 });
}
