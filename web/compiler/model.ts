/**
 * What the compiler takes and what it gives: plain data and small interfaces, so that the engine's
 * store and runtime depend on shapes alone.
 */

/** One file of a model, read by ranges. */
export interface ByteSource {
  /** Path below the model's folder with `/`, or the file's own name. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Bytes `offset` to `offset + length`; rejects with a `download-failed` or `invalid-model` error when short. */
  read(offset: number, length: number, options?: { signal?: AbortSignal }): Promise<Uint8Array>;
}

/** A checkpoint as it lies on disk or on a host: a diffusers folder, or a single file. */
export interface ModelFiles {
  readonly name: string;
  readonly files: readonly ByteSource[];
}

export type ModelFamily = 'sd1' | 'sd2' | 'sdxl';
export type Precision = 'fp32' | 'fp16' | 'q8' | 'q4';
export type WeightDtype = 'float32' | 'float16' | 'int64' | 'int32' | 'uint8';

/** One part of a checkpoint that becomes a session of its own. */
export type ComponentName =
  | 'text_encoder'
  | 'text_encoder_2'
  | 'unet'
  | 'vae_encoder'
  | 'vae_decoder'
  | 'taesd_encoder'
  | 'taesd_decoder'
  | 'controlnet'
  | 'upscaler';

/** Everything about a checkpoint that sampling and the pipeline must know; JSON, kept in the manifest. */
export interface ModelDescription {
  readonly family: ModelFamily;
  readonly predictionType: 'epsilon' | 'v_prediction';
  /** True where the files leave the prediction type open: only running the UNet tells. */
  readonly isPredictionAssumed: boolean;
  /** Training noise schedule. */
  readonly trainSteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly betaSchedule: 'linear' | 'scaled_linear';
  /** The betas are rescaled so that the last step is noise alone (Lin et al., arXiv:2305.08891). */
  readonly zeroTerminalSnr: boolean;
  readonly latentChannels: number;
  /** Pixels per latent, a power of two: 8 for Stable Diffusion. */
  readonly vaeFactor: number;
  /** Latents are multiplied by it after encoding and divided before decoding. */
  readonly scalingFactor: number;
  readonly shiftFactor: number;
  /** UNet input channels: 9 for inpainting models. */
  readonly unetInChannels: number;
  /** Width of each further input that the UNet has; null where it has none. */
  readonly unetInputs: {
    /** `text_embeds`: the pooled and projected text of the second encoder. */
    readonly textEmbeds: number | null;
    /** `time_ids`: original height and width, crop top and left; then target height and width, or a refiner's aesthetic score. */
    readonly timeIds: number | null;
    /** `timestep_cond`: the embedded guidance scale of a latent consistency model. */
    readonly timestepCond: number | null;
  };
  /** Side in pixels that the model was trained for. */
  readonly nativeResolution: number;
  /** Their states are joined along the channels. */
  readonly textEncoders: readonly TextEncoderDescription[];
  /** What the files leave open and was assumed: sentences for the user. */
  readonly notes: readonly string[];
}

/**
 * How many numbers SDXL is told of a picture: original size, crop and target size, two each. Its refiner has an aesthetic
 * score in the place of the target size.
 */
export const TIME_IDS = { base: 6, refiner: 5 } as const;

/** SDXL's refiner: the second text encoder alone, and told of a picture's aesthetic score. */
export function isSdxlRefiner({ unetInputs }: Pick<ModelDescription, 'unetInputs'>): boolean {
  return unetInputs.timeIds === TIME_IDS.refiner;
}

/** One text encoder with its tokenizer. */
export interface TextEncoderDescription {
  readonly component: 'text_encoder' | 'text_encoder_2';
  readonly layers: number;
  readonly hiddenSize: number;
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  /** Which hidden states condition the UNet, in the words of `GraphOptions`. */
  readonly states: {
    readonly clipSkip: number;
    readonly finalNorm: boolean;
    /** Whether a user's clip skip counts instead, as for SD 1; A1111 has none for SD 2 and SDXL. */
    readonly followsClipSkip: boolean;
  };
  /** Width of the output `text_embeds`; null where there is none. */
  readonly projectionSize: number | null;
  /** vocab.json and merges.txt of the folder; null means CLIP's own vocabulary, which the page carries. */
  readonly tokenizer: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly string[];
  } | null;
}

/** Where a weight lies in its component's shards. */
export interface WeightEntry {
  readonly dtype: WeightDtype;
  readonly shape: readonly number[];
  readonly shard: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** A compiled component: weights by name, in shards that the runtime mounts as external data. */
export interface CompiledComponent {
  readonly name: ComponentName;
  /** The component's configuration as the graph builder needs it; JSON. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly precision: Precision;
  /** Bytes of each shard, in order. */
  readonly shardSizes: readonly number[];
  readonly weights: Readonly<Record<string, WeightEntry>>;
}

/** All of a compiled model but the weight bytes; JSON. */
export interface CompiledModel {
  readonly description: ModelDescription;
  readonly components: readonly CompiledComponent[];
}

/** Takes the weights as they are made, in order; the store cuts them into chunks. */
export interface WeightSink {
  /** Starts shard `index` of `component`; the one before is complete. */
  beginShard(component: ComponentName, index: number): Promise<void>;
  /** Appends to the shard. The bytes are the sink's to keep: the compiler does not touch them again. */
  write(bytes: Uint8Array): Promise<void>;
}

/** How far a compile is. */
export interface CompileProgress {
  readonly component: ComponentName;
  /** Source bytes read so far and in all. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Fixed sizes that a graph is made for: one graph a size takes milliseconds. */
export interface GraphShape {
  readonly batch: number;
  /** Latent height and width for UNet and VAE, unused by text encoders. */
  readonly latentHeight: number;
  readonly latentWidth: number;
  /** Tokens of context for the UNet (a multiple of the encoder's context length), tokens in for text encoders. */
  readonly tokens: number;
}

/** A graph ready for the runtime: the ONNX file and the shards it names as external data. */
export interface BuiltGraph {
  readonly onnx: Uint8Array;
  /** `location` of each shard in the graph's external data, in shard order; of each piece where there are pieces. */
  readonly shardPaths: readonly string[];
  /** Where a graph uses few weights: what of the shards it reads, so that no other byte is. */
  readonly pieces?: readonly ShardPiece[];
}

/** A stretch of a shard. */
export interface ShardPiece {
  readonly shard: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** A graph's external data, in the order of its `shardPaths`, out of its component's whole shards. */
export function graphData<T extends { slice(begin: number, end: number): T }>(
  { pieces }: Pick<BuiltGraph, 'pieces'>,
  shards: readonly T[],
): readonly T[] {
  if (!pieces) return shards;
  return pieces.map(({ shard, offset, sizeBytes }) => {
    const whole = shards[shard];
    if (!whole) throw new RangeError(`no shard ${shard}`);
    return whole.slice(offset, offset + sizeBytes);
  });
}
