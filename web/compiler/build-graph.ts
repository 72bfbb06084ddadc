import { GenerationError } from '../../protocol/errors.ts';
import {
  activationDtype,
  buildComponent,
  type ComponentConfig,
  componentConfig,
} from './component.ts';
import type { BuiltGraph, CompiledComponent, GraphShape, ShardPiece } from './model.ts';
import type { ControlStage } from './models/controlnet.ts';
import type { UnetPart } from './models/unet.ts';
import type { Provider } from './onnx/graph-builder.ts';
import {
  codesShape,
  type PlacedTensor,
  scalesName,
  type WeightSource,
  type WeightSpec,
} from './weights.ts';

export interface GraphOptions {
  /** Text encoders: 1 is the last layer, k the layer k - 1 before it, then the final norm. */
  readonly clipSkip?: number;
  /** Text encoders: whether `hidden_states` went through the final norm, as they do by default. */
  readonly finalNorm?: boolean;
  /** Text encoders: adds the output `pooled`. */
  readonly pooled?: boolean;
  /**
   * UNet: says that all rows are at one timestep and that each latent comes under that many texts, text by text (cond
   * rows first, then uncond rows). What precedes the texts is then computed once, and the time costs no pass of its own.
   */
  readonly texts?: number;
  /** UNet: one half of it, so that what depends on the texts alone is not computed at every step. */
  readonly part?: UnetPart;
  /** UNet: takes a ControlNet's residuals, `control_down_0` … and `control_mid`. */
  readonly control?: boolean;
  /** UNet and VAE: the picture continues into itself at its edges (A1111's tiling). */
  readonly isTiling?: boolean;
  /** ControlNet: embeds the control picture, or gives the residuals (the default). */
  readonly stage?: ControlStage;
  /** ControlNet: adds another one's residuals, the inputs `previous_down_0` … and `previous_mid`, to its own. */
  readonly isAdded?: boolean;
  /** TAESD's decoder: the picture's sides are divided by it, 1 by default. */
  readonly pool?: number;
  /** Text encoders: adds the inputs `overrides` and `override_mask`, for textual inversions. */
  readonly overrides?: boolean;
  /** `webgpu` uses fused operators that only its provider has; `wasm` (the default) runs on both. */
  readonly provider?: Provider;
  /** Largest tensor in bytes that the device binds to a shader; a larger token table is cut into pieces. */
  readonly maxBindingBytes?: number;
}

/**
 * The ONNX graph of a compiled component for fixed sizes; takes milliseconds and reads no weight.
 *
 * | component | inputs | outputs |
 * |---|---|---|
 * | text_encoder, text_encoder_2 | `input_ids` int32 [b, tokens]; where asked for `overrides` f32 [b, tokens, hidden], which stand for a token's row, and are 0 elsewhere, and `override_mask` f32 [b, tokens, 1], 1 where they do | `hidden_states` f32 [b, tokens, hidden]; `pooled` f32 [b, hidden] where asked for; `text_embeds` f32 [b, n] where the encoder has a projection |
 * | unet | `sample` f32 [b, c, h, w], `timestep` f32 [b], `encoder_hidden_states` f32 [b, tokens, context]; SDXL: `text_embeds` f32 [b, n], `time_ids` f32 [b, 6]; LCM: `timestep_cond` f32 [b, n] | `out_sample` f32 [b, c, h, w] |
 * | vae_encoder | `sample` f32 [b, 3, H, W] in -1..1 | `latent_mean`, `latent_std` f32 [b, c, h, w], not scaled |
 * | vae_decoder | `latents` f32 [b, c, h, w] on the sampler's scale | `image` f32 [b, 3, H, W], about -1..1, not clamped |
 * | taesd_encoder | `sample` f32 [b, 3, H, W] in -1..1 | `latents` f32 [b, c, h, w] on the sampler's scale |
 * | taesd_decoder | as vae_decoder | as vae_decoder; with `pool` its sides divided by that |
 * | controlnet, stage `hint` | `controlnet_cond` f32 [b, 3, H, W] in 0..1 | `control_hint` f32 [b, c, h, w] |
 * | controlnet, stage `residuals` | as unet, `control_hint` f32 [1, c, h, w], `conditioning_scale` f32 [residuals, b] | `control_down_0` …, `control_mid`: inputs of the UNet's graph |
 * | upscaler | `image` f32 [b, 3, h, w] in 0..1; h and w are the shape's latent sizes | `upscaled` f32 [b, 3, s·h, s·w], about 0..1 |
 *
 * A UNet can be had in two parts: `context` takes `encoder_hidden_states`, `text_embeds` and `time_ids`, and its outputs
 * take their place among the inputs of the part `steps` (`buildUnetContext`). A graph that uses few weights names pieces of
 * the shards (`graphData`) instead of whole ones.
 *
 * All are float32 at the boundary whatever the precision inside, but for what passes from `context` to `steps`.
 * Throws `invalid-request` for sizes or a clip skip that the component does not have, and
 * `invalid-model` for a compiled component that does not hold what its graph needs.
 */
export function buildGraph(
  component: CompiledComponent,
  shape: GraphShape,
  {
    clipSkip = 1,
    finalNorm = true,
    pooled = false,
    texts,
    part,
    control = false,
    stage = 'residuals',
    isAdded = false,
    pool = 1,
    overrides = false,
    isTiling = false,
    provider = 'wasm',
    maxBindingBytes = Number.POSITIVE_INFINITY,
  }: GraphOptions = {},
): BuiltGraph {
  const config = componentConfig(component);
  checkShape(config, shape, clipSkip);
  const wholeShards = component.shardSizes.map((_, shard) => `${component.name}.${shard}.weights`);
  const pieces = part === 'context' ? new Map<string, ShardPiece>() : null;
  const graph = buildComponent(
    component.name,
    config,
    activationDtype(component),
    shape,
    storedWeights(component, (shard, offset, sizeBytes) => {
      const location = wholeShards[shard];
      if (location === undefined) return undefined;
      if (!pieces) return { location, offset };
      const path = `${component.name}.${shard}.${offset}.weights`;
      pieces.set(path, { shard, offset, sizeBytes });
      return { location: path, offset: 0 };
    }),
    {
      clipSkip,
      finalNorm,
      pooled,
      texts,
      part,
      control,
      stage,
      isAdded,
      pool,
      overrides,
      isTiling,
      provider,
      maxBindingBytes,
    },
  );
  const onnx = graph.encode();
  if (!pieces) return { onnx, shardPaths: wholeShards };
  return { onnx, shardPaths: [...pieces.keys()], pieces: [...pieces.values()] };
}

/** Where a graph finds bytes of a shard: in which of its external files, and at which offset. */
type Placing = (
  shard: number,
  offset: number,
  sizeBytes: number,
) => { location: string; offset: number } | undefined;

function storedWeights(component: CompiledComponent, placing: Placing): WeightSource {
  const place = (name: string, shape: readonly number[]): PlacedTensor => {
    const entry = component.weights[name];
    const placed = entry && placing(entry.shard, entry.offset, entry.sizeBytes);
    const isFloat = entry?.dtype === 'float32' || entry?.dtype === 'float16';
    const sameShape = entry?.shape.join() === shape.join();
    if (!entry || !placed || !isFloat || !sameShape) {
      throw new GenerationError(
        'invalid-model',
        `The compiled ${component.name} does not hold the weight "${name}" [${shape.join(', ')}]. Delete it from the cache and load the model again.`,
      );
    }
    const dtype = entry.dtype === 'float16' ? 'float16' : 'float32';
    return { dtype, ...placed, sizeBytes: entry.sizeBytes };
  };
  return (spec: WeightSpec) => {
    const entry = component.weights[spec.name];
    const bits = QUANTIZED_BITS.find(
      (bits) => entry?.shape.join() === codesShape(spec.shape, bits).join(),
    );
    if (!spec.isLinear || entry?.dtype !== 'uint8' || !bits) {
      return place(spec.name, spec.storedShape);
    }
    const placed = placing(entry.shard, entry.offset, entry.sizeBytes);
    if (!placed) return place(spec.name, spec.storedShape);
    const blocks = (entry.shape[0] ?? 0) * (entry.shape[1] ?? 0);
    const scales = place(scalesName(spec.name), [blocks]);
    return { dtype: 'uint8', ...placed, sizeBytes: entry.sizeBytes, bits, scales };
  };
}

const QUANTIZED_BITS = [4, 8] as const;

function checkShape(config: ComponentConfig, shape: GraphShape, clipSkip: number): void {
  const sizes =
    config.type === 'clip-text'
      ? { batch: shape.batch, tokens: shape.tokens }
      : config.type === 'unet' || config.type === 'controlnet'
        ? shape
        : { batch: shape.batch, height: shape.latentHeight, width: shape.latentWidth };
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isInteger(size) || size < 1) {
      throw new GenerationError(
        'invalid-request',
        `${name} should be a whole number from 1, not ${size}.`,
      );
    }
  }
  if (config.type !== 'clip-text') return;
  if (shape.tokens > config.contextLength) {
    throw new GenerationError(
      'invalid-request',
      `The text encoder takes ${config.contextLength} tokens at once, not ${shape.tokens}.`,
    );
  }
  if (!Number.isInteger(clipSkip) || clipSkip < 1 || clipSkip > config.layers) {
    throw new GenerationError(
      'invalid-request',
      `Clip skip should be from 1 to ${config.layers} for this text encoder, not ${clipSkip}.`,
    );
  }
}
