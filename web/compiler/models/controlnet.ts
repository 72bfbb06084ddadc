import { conv2d } from '../layers/basic.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, cast, gatherRow, mul, reshape, silu } from '../onnx/ops.ts';
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

/** `hint`: the control picture embedded, once a job; `residuals`: what follows from it, once a step. */
export type ControlStage = 'hint' | 'residuals';

export interface ControlnetOptions extends UnetOptions {
  readonly stage: ControlStage;
  /** Residuals of another ControlNet are taken in and added. */
  readonly isAdded: boolean;
}

/** Channels, height and width of every residual for latents of that size: the UNet's skip connections, then its middle. */
export function residualShapes(
  { down }: Pick<UnetConfig, 'down'>,
  latentHeight: number,
  latentWidth: number,
): (readonly [number, number, number])[] {
  let [height, width] = [latentHeight, latentWidth];
  const shapes: [number, number, number][] = [[down[0]?.channels ?? 0, height, width]];
  for (const [index, { channels, layers }] of down.entries()) {
    for (let layer = 0; layer < layers; layer++) shapes.push([channels, height, width]);
    if (index === down.length - 1) break;
    [height, width] = [Math.ceil(height / 2), Math.ceil(width / 2)];
    shapes.push([channels, height, width]);
  }
  return [...shapes, [down.at(-1)?.channels ?? 0, height, width]];
}

/** The residuals' names, in the same order, in a ControlNet's outputs and a UNet's inputs. */
export function residualNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    index === count - 1 ? 'control_mid' : `control_down_${index}`,
  );
}

/**
 * `hint`: `controlnet_cond` [b, 3, H, W] in 0..1 → `control_hint` [b, c, h, w].
 * `residuals`: a UNet's inputs, `control_hint` [1, c, h, w] for all rows and `conditioning_scale` [residuals, b] →
 * `control_down_0` … and `control_mid`: what is added to the UNet's skip connections and its middle, each row times its
 * scale. With `isAdded` the inputs `previous_down_0` … and `previous_mid` are added to them.
 */
export function buildControlnet(
  g: GraphBuilder,
  config: ControlnetConfig,
  options: ControlnetOptions,
): void {
  if (options.stage === 'hint') buildHint(g, config, options);
  else buildResiduals(g, config, options);
}

function buildHint(
  g: GraphBuilder,
  config: ControlnetConfig,
  { batch, latentHeight, latentWidth }: UnetOptions,
): void {
  const factor = 2 ** (config.hintFeatures.length - 1);
  const size = [latentHeight * factor, latentWidth * factor];
  const hint = g.input('controlnet_cond', 'float32', [batch, config.hintChannels, ...size]);
  g.output('control_hint', cast(g, hintEmbedding(g, config, cast(g, hint, g.dtype)), 'float32'));
}

function buildResiduals(
  g: GraphBuilder,
  { unet }: ControlnetConfig,
  options: ControlnetOptions,
): void {
  const { batch, latentHeight, latentWidth, isAdded } = options;
  const shapes = residualShapes(unet, latentHeight, latentWidth);
  const hintShape = [1, ...(shapes[0] ?? [])];
  const hint = cast(g, g.input('control_hint', 'float32', hintShape), g.dtype);
  const scales = g.input('conditioning_scale', 'float32', [shapes.length, batch]);
  const { pass, first } = enterUnet(g, unet, options);
  const start = add(g, first, hint);
  const skips = [start];
  const middle = midBlock(pass, downBlocks(pass, start, skips));
  const emit = (index: number, name: string, module: string, x: Value) => {
    const outChannels = x.shape[1] ?? 0;
    const scale = cast(g, reshape(g, gatherRow(g, scales, index), [batch, 1, 1, 1]), g.dtype);
    const residual = mul(g, conv2d(g, module, x, { outChannels, kernel: 1 }), scale);
    const own = cast(g, residual, 'float32');
    const previous = name.replace('control', 'previous');
    g.output(name, isAdded ? add(g, own, g.input(previous, 'float32', own.shape)) : own);
  };
  skips.forEach((skip, index) => {
    emit(index, `control_down_${index}`, `controlnet_down_blocks.${index}`, skip);
  });
  emit(skips.length, 'control_mid', 'controlnet_mid_block', middle);
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
