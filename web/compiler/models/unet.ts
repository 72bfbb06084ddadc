import { conv2d, dimensions4, groupNorm, linearRows, project } from '../layers/basic.ts';
import { resnetBlock } from '../layers/resnet-block.ts';
import { downsample, upsample } from '../layers/sampling.ts';
import { timestepSinusoid } from '../layers/time-embedding.ts';
import {
  type CrossAttention,
  type CrossContext,
  crossKeysAndValues,
  transformer2d,
} from '../layers/transformer.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, cast, concat, firstRows, repeatRows, reshape, silu } from '../onnx/ops.ts';

/** One level of the UNet, down or up, in the order it is run. */
export type UnetLevel = {
  readonly channels: number;
  /** ResNet blocks; one more on the way up than on the way down. */
  readonly layers: number;
  readonly heads: number;
  /** Transformer blocks after each ResNet block; none: no attention at this level. */
  readonly transformerDepths: readonly number[];
};

/** diffusers' `UNet2DConditionModel`. */
export type UnetConfig = {
  readonly type: 'unet';
  readonly inChannels: number;
  readonly outChannels: number;
  readonly contextSize: number;
  readonly down: readonly UnetLevel[];
  /** null: the lowest level goes straight up again, as in some distilled models. */
  readonly mid: { readonly heads: number; readonly transformerDepth: number } | null;
  readonly up: readonly UnetLevel[];
  readonly normGroups: number;
  readonly normEps: number;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
  readonly upcastAttention: boolean;
  /** SDXL's conditions: the pooled text and six sizes in pixels, each as `timeFeatures` sinusoids. */
  readonly textTime: {
    readonly textEmbedsSize: number;
    readonly timeIds: number;
    readonly timeFeatures: number;
  } | null;
  /** Width of the guidance scale's embedding that a latent consistency model takes. */
  readonly timestepCondSize: number | null;
};

export interface UnetOptions {
  readonly batch: number;
  readonly latentHeight: number;
  readonly latentWidth: number;
  readonly tokens: number;
  /** Takes a ControlNet's residuals. */
  readonly control?: boolean;
  /**
   * Says that all rows are at one timestep, and that the latents come under that many texts one after another: the rows
   * of a text are those of the first. What no text has touched yet is then computed once.
   */
  readonly texts?: number;
  readonly part?: UnetPart;
}

/**
 * A half of the UNet. `context`: what depends on the texts alone and so is the same at every step, the keys and values of
 * cross-attention and SDXL's added embedding. `steps`: the rest, which takes them as inputs.
 */
export type UnetPart = 'context' | 'steps';

/** What every block of one UNet pass shares. */
export interface UnetPass {
  readonly g: GraphBuilder;
  readonly config: UnetConfig;
  /** [batch, features], or one row where all are at one timestep. */
  readonly activatedTime: Value;
  readonly context: CrossContext;
  readonly batch: number;
}

/** Where a UNet looks at the texts: the paths of its cross-attentions, with their sizes. */
function crossAttentions({ down, mid, up }: UnetConfig): ({ path: string } & CrossAttention)[] {
  const levels = [
    ...down.map((level, index) => ({ name: `down_blocks.${index}`, level })),
    ...up.map((level, index) => ({ name: `up_blocks.${index}`, level })),
  ].map(({ name, level: { channels, heads, transformerDepths } }) => ({
    ...{ name, heads, features: channels, depths: transformerDepths },
  }));
  if (mid) {
    const features = down.at(-1)?.channels ?? 0;
    const { heads, transformerDepth } = mid;
    levels.push({ name: 'mid_block', heads, features, depths: [transformerDepth] });
  }
  return levels.flatMap(({ name, heads, features, depths }) =>
    depths.flatMap((depth, layer) =>
      Array.from({ length: depth }, (_, block) => ({
        path: `${name}.attentions.${layer}.transformer_blocks.${block}.attn2`,
        ...{ heads, features },
      })),
    ),
  );
}

/** Whether anything of a UNet depends on the texts alone. */
export function hasContextPart(config: UnetConfig): boolean {
  return config.textTime !== null || crossAttentions(config).length > 0;
}

const ADDED_TIME = 'added_time';

/**
 * The part `context`: `encoder_hidden_states` and, where the model has them, `text_embeds` and `time_ids` → what the part
 * `steps` takes in their place, by the same names: `added_time` [b, n], and of each cross-attention `PATH.key` and
 * `PATH.value` [b, heads, tokens, d]. These stay in the graph's own element type, as they pass from graph to graph.
 */
export function buildUnetContext(
  g: GraphBuilder,
  config: UnetConfig,
  { batch, tokens }: Pick<UnetOptions, 'batch' | 'tokens'>,
): void {
  const attentions = crossAttentions(config);
  if (attentions.length > 0) {
    const input = g.input('encoder_hidden_states', 'float32', [batch, tokens, config.contextSize]);
    const states = cast(g, input, g.dtype);
    const { upcastAttention } = config;
    for (const { path, ...sizes } of attentions) {
      g.scope(path, () => crossKeysAndValues(g, states, { ...sizes, upcastAttention }));
    }
  }
  if (config.textTime) g.output(ADDED_TIME, addedTime(g, config, config.textTime, batch));
}

/**
 * `sample` [b, c, h, w], `timestep` [b], `encoder_hidden_states` [b, tokens, context] and, where the
 * model has them, `text_embeds` [b, n], `time_ids` [b, 6], `timestep_cond` [b, n] → `out_sample`.
 * Sizes that the levels do not halve evenly are upsampled to the skip's size, as diffusers does.
 */
export function buildUnet(g: GraphBuilder, config: UnetConfig, options: UnetOptions): void {
  const { pass, first } = enterUnet(g, config, options);
  const skips = [first];
  let hidden = downBlocks(pass, first, skips);
  hidden = midBlock(pass, hidden);
  if (options.control) hidden = addResiduals(pass, hidden, skips);
  hidden = upBlocks(pass, hidden, skips);
  const norm = { groups: config.normGroups, epsilon: config.normEps };
  hidden = silu(g, groupNorm(g, 'conv_norm_out', hidden, norm));
  hidden = conv2d(g, 'conv_out', hidden, { outChannels: config.outChannels, kernel: 3 });
  g.output('out_sample', cast(g, hidden, 'float32'));
}

/** The inputs of a UNet, and its first convolution. */
export function enterUnet(
  g: GraphBuilder,
  config: UnetConfig,
  { batch, latentHeight, latentWidth, tokens, texts, part }: UnetOptions,
): { pass: UnetPass; first: Value } {
  const sample = g.input('sample', 'float32', [
    batch,
    config.inChannels,
    latentHeight,
    latentWidth,
  ]);
  const timestep = g.input('timestep', 'float32', [batch]);
  const context = crossContext(g, config, { batch, tokens, part });
  const ofStep = timeEmbedding(g, config, texts ? firstRows(g, timestep, 1) : timestep, batch);
  const { textTime } = config;
  let time = ofStep;
  if (textTime && part === 'steps') {
    time = add(g, ofStep, g.input(ADDED_TIME, g.dtype, [batch, ofStep.shape[1] ?? 0]));
  } else if (textTime) {
    time = add(g, ofStep, addedTime(g, config, textTime, batch));
  }
  const pass: UnetPass = { g, config, activatedTime: silu(g, time), context, batch };
  // SDXL's time knows of the text: there only the first convolution comes before it.
  const rows = texts && !config.textTime ? batch / texts : batch;
  if (!Number.isInteger(rows)) throw new RangeError(`${batch} rows under ${texts} texts`);
  const latents = cast(g, firstRows(g, sample, rows), g.dtype);
  const outChannels = config.down[0]?.channels ?? 0;
  return { pass, first: conv2d(g, 'conv_in', latents, { outChannels, kernel: 3 }) };
}

function crossContext(
  g: GraphBuilder,
  { contextSize }: UnetConfig,
  { batch, tokens, part }: Pick<UnetOptions, 'batch' | 'tokens'> & { part: UnetPart | undefined },
): CrossContext {
  if (part === 'steps') return { form: 'given', rows: batch, tokens };
  const states = g.input('encoder_hidden_states', 'float32', [batch, tokens, contextSize]);
  return { form: 'states', rows: batch, tokens, states: cast(g, states, g.dtype) };
}

/** Adds what a ControlNet says to every skip connection, in place, and to the middle. */
function addResiduals({ g, batch }: UnetPass, middle: Value, skips: Value[]): Value {
  const added = (name: string, x: Value) => {
    const value = repeatRows(g, x, batch);
    return add(g, value, cast(g, g.input(name, 'float32', value.shape), value.dtype));
  };
  skips.forEach((skip, index) => {
    skips[index] = added(`control_down_${index}`, skip);
  });
  return added('control_mid', middle);
}

/** The sinusoids of the timesteps, embedded: [rows] → [rows, 4 · channels], one row or `batch`. */
function timeEmbedding(g: GraphBuilder, config: UnetConfig, timestep: Value, batch: number): Value {
  const { timestepCondSize } = config;
  const features = config.down[0]?.channels ?? 0;
  const sinusoid = timestepSinusoid(g, timestep, { ...config, features });
  return g.scope('time_embedding', () => {
    let embedded = cast(g, sinusoid, g.dtype);
    if (timestepCondSize !== null) {
      const conditions = g.input('timestep_cond', 'float32', [batch, timestepCondSize]);
      const condition = firstRows(g, conditions, timestep.shape[0] ?? 1);
      embedded = add(g, embedded, project(g, 'cond_proj', cast(g, condition, g.dtype), features));
    }
    return twoLinears(g, embedded, 4 * features);
  });
}

/** diffusers' `text_time`: the pooled text and the sizes' sinusoids, embedded, to be added to the time. */
function addedTime(
  g: GraphBuilder,
  config: UnetConfig,
  { textEmbedsSize, timeIds, timeFeatures }: NonNullable<UnetConfig['textTime']>,
  batch: number,
): Value {
  const outFeatures = 4 * (config.down[0]?.channels ?? 0);
  const text = g.input('text_embeds', 'float32', [batch, textEmbedsSize]);
  const ids = reshape(g, g.input('time_ids', 'float32', [batch, timeIds]), [batch * timeIds]);
  const sinusoids = timestepSinusoid(g, ids, { ...config, features: timeFeatures });
  const rows = reshape(g, sinusoids, [batch, timeIds * timeFeatures]);
  const joined = cast(g, concat(g, [text, rows], 1), g.dtype);
  return g.scope('add_embedding', () => twoLinears(g, joined, outFeatures));
}

/** diffusers' `TimestepEmbedding`. */
function twoLinears(g: GraphBuilder, x: Value, outFeatures: number): Value {
  return linearRows(g, 'linear_2', silu(g, linearRows(g, 'linear_1', x, outFeatures)), outFeatures);
}

/** The way down; every skip connection is put behind `skips`. */
export function downBlocks(pass: UnetPass, x: Value, skips: Value[]): Value {
  const { g, config } = pass;
  let hidden = x;
  config.down.forEach((level, index) => {
    g.scope(`down_blocks.${index}`, () => {
      for (let layer = 0; layer < level.layers; layer++) {
        hidden = levelLayer(pass, hidden, level, layer);
        skips.push(hidden);
      }
      if (index < config.down.length - 1) {
        hidden = downsample(g, 'downsamplers.0', hidden);
        skips.push(hidden);
      }
    });
  });
  return hidden;
}

export function midBlock(pass: UnetPass, x: Value): Value {
  const { g, config } = pass;
  const { mid } = config;
  if (!mid) return x;
  const channels = config.down.at(-1)?.channels ?? 0;
  return g.scope('mid_block', () => {
    let hidden = resnet(pass, 'resnets.0', x, channels);
    if (mid.transformerDepth > 0) {
      hidden = transformer(pass, 'attentions.0', hidden, mid.heads, mid.transformerDepth);
    }
    return resnet(pass, 'resnets.1', hidden, channels);
  });
}

function upBlocks(pass: UnetPass, x: Value, skips: Value[]): Value {
  const { g, config, batch } = pass;
  let hidden = x;
  config.up.forEach((level, index) => {
    g.scope(`up_blocks.${index}`, () => {
      for (let layer = 0; layer < level.layers; layer++) {
        const skip = skips.pop();
        if (!skip) throw new RangeError('more layers on the way up than skip connections');
        const joined = [hidden, skip].map((x) => repeatRows(g, x, batch));
        hidden = levelLayer(pass, concat(g, joined, 1), level, layer);
      }
      const next = skips.at(-1);
      if (index < config.up.length - 1 && next) {
        const [, , height, width] = dimensions4(next);
        hidden = upsample(g, 'upsamplers.0', hidden, { height, width });
      }
    });
  });
  return hidden;
}

/** A ResNet block and, where the level has attention, its transformer. */
function levelLayer(pass: UnetPass, x: Value, level: UnetLevel, layer: number): Value {
  const hidden = resnet(pass, `resnets.${layer}`, x, level.channels);
  const depth = level.transformerDepths[layer] ?? 0;
  if (depth === 0) return hidden;
  return transformer(pass, `attentions.${layer}`, hidden, level.heads, depth);
}

function resnet(pass: UnetPass, name: string, x: Value, outChannels: number): Value {
  const { g, config, activatedTime } = pass;
  const norm = { groups: config.normGroups, epsilon: config.normEps };
  return resnetBlock(g, name, x, { outChannels, norm, activatedTime });
}

function transformer(
  { g, config, context }: UnetPass,
  name: string,
  x: Value,
  heads: number,
  depth: number,
): Value {
  const { normGroups, upcastAttention } = config;
  return transformer2d(g, name, x, { heads, depth, normGroups, context, upcastAttention });
}
