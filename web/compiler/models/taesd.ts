import { conv2d, dimensions4 } from '../layers/basic.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, averagePool, cast, mul, resizeNearest, scalar, unary } from '../onnx/ops.ts';

/**
 * TAESD, a small autoencoder for the latents of another (Ollin Boer Bohan's; diffusers' `AutoencoderTiny`).
 * Its latents are on the sampler's scale; inside, pictures are 0..1.
 */
export type TaesdConfig = {
  readonly type: 'taesd';
  readonly latentChannels: number;
  readonly channels: number;
};

export interface TaesdOptions {
  readonly batch: number;
  readonly latentHeight: number;
  readonly latentWidth: number;
  /** Decoder: the picture's sides are divided by it, for previews of which less comes back from the device. */
  readonly pool?: number;
}

/** Residual blocks of each level, from the picture's size down and from the latents' size up. */
const ENCODER_BLOCKS = [1, 3, 3, 3];
const DECODER_BLOCKS = [3, 3, 3, 1];
const IMAGE_CHANNELS = 3;
/** Latents beyond this are pressed together before they are decoded. */
const LATENT_MAGNITUDE = 3;

const TAESD_FACTOR = 2 ** (ENCODER_BLOCKS.length - 1);

/** `sample` [b, 3, H, W] in −1..1 → `latents` [b, c, h, w] on the sampler's scale. */
export function buildTaesdEncoder(
  g: GraphBuilder,
  { channels, latentChannels }: TaesdConfig,
  { batch, latentHeight, latentWidth }: TaesdOptions,
): void {
  const [height, width] = [latentHeight * TAESD_FACTOR, latentWidth * TAESD_FACTOR];
  const sample = g.input('sample', 'float32', [batch, IMAGE_CHANNELS, height, width]);
  let hidden = scaled(g, cast(g, sample, g.dtype), 0.5, 0.5);
  let layer = 0;
  const next = () => `encoder.layers.${layer++}`;
  ENCODER_BLOCKS.forEach((blocks, level) => {
    hidden =
      level === 0
        ? conv2d(g, next(), hidden, { outChannels: channels, kernel: 3 })
        : conv2d(g, next(), hidden, {
            ...{ outChannels: channels, kernel: 3, stride: 2, padding: 1, bias: false },
          });
    for (let block = 0; block < blocks; block++) hidden = residual(g, next(), hidden);
  });
  hidden = conv2d(g, next(), hidden, { outChannels: latentChannels, kernel: 3 });
  g.output('latents', cast(g, hidden, 'float32'));
}

/** `latents` [b, c, h, w] on the sampler's scale → `image` [b, 3, H / pool, W / pool], about −1..1, not clamped. */
export function buildTaesdDecoder(
  g: GraphBuilder,
  { channels, latentChannels }: TaesdConfig,
  { batch, latentHeight, latentWidth, pool = 1 }: TaesdOptions,
): void {
  const shape = [batch, latentChannels, latentHeight, latentWidth];
  const latents = cast(g, g.input('latents', 'float32', shape), g.dtype);
  const pressed = unary(g, 'Tanh', mul(g, latents, scalar(g, latents, 1 / LATENT_MAGNITUDE)));
  let hidden = mul(g, pressed, scalar(g, pressed, LATENT_MAGNITUDE));
  let layer = 0;
  const next = () => `decoder.layers.${layer++}`;
  hidden = unary(g, 'Relu', conv2d(g, next(), hidden, { outChannels: channels, kernel: 3 }));
  // The activation is a layer of its own, and so is each enlargement.
  layer++;
  DECODER_BLOCKS.forEach((blocks, level) => {
    for (let block = 0; block < blocks; block++) hidden = residual(g, next(), hidden);
    if (level === DECODER_BLOCKS.length - 1) return;
    const [, , height, width] = dimensions4(hidden);
    hidden = resizeNearest(g, hidden, 2 * height, 2 * width);
    layer++;
    hidden = conv2d(g, next(), hidden, { outChannels: channels, kernel: 3, bias: false });
  });
  hidden = conv2d(g, next(), hidden, { outChannels: IMAGE_CHANNELS, kernel: 3 });
  g.output('image', cast(g, averagePool(g, scaled(g, hidden, 2, -1), pool), 'float32'));
}

/** Three convolutions and a shortcut, with a ReLU after all but the last, and after the sum. */
function residual(g: GraphBuilder, name: string, x: Value): Value {
  const [, outChannels] = dimensions4(x);
  return g.scope(`${name}.conv`, () => {
    let hidden = unary(g, 'Relu', conv2d(g, '0', x, { outChannels, kernel: 3 }));
    hidden = unary(g, 'Relu', conv2d(g, '2', hidden, { outChannels, kernel: 3 }));
    hidden = conv2d(g, '4', hidden, { outChannels, kernel: 3 });
    return unary(g, 'Relu', add(g, hidden, x));
  });
}

function scaled(g: GraphBuilder, x: Value, factor: number, shift: number): Value {
  return add(g, mul(g, x, scalar(g, x, factor)), scalar(g, x, shift));
}
