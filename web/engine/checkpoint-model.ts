import { GenerationError } from '../../protocol/errors.ts';
import { buildGraph, type GraphOptions } from '../compiler/build-graph.ts';
import type {
  CompiledComponent,
  CompiledModel,
  ComponentName,
  GraphShape,
} from '../compiler/model.ts';
import { buildOnnxGraph } from '../compiler/onnx-folder/build.ts';
import { fixedLatents, graphRows, onnxConfig } from '../compiler/onnx-folder/config.ts';
import type { TokenCount } from '../shared/engine.ts';
import { largestTile } from './device-limits.ts';
import type { BatchShape, DiffusionModel, LatentSpace, LatentsRequest } from './diffusion-model.ts';
import type { Companion } from './models/companions.ts';
import type { LoadedEmbedding } from './models/embedding-loader.ts';
import { MAX_PREVIEW_SIDE } from './previews.ts';
import { countTokens } from './prompt/count-tokens.ts';
import {
  createEmbeddingFinder,
  type EmbeddingPlace,
  placeEmbeddings,
} from './prompt/embeddings.ts';
import { planConditioning } from './prompt/plan.ts';
import type { ClipTokenizer } from './prompt/tokenizer.ts';
import { createRowsSession } from './rows-session.ts';
import { createArrayLatentOps } from './runtime/array-latent-ops.ts';
import { createGpuLatentOps, StepGraphs } from './runtime/gpu-latent-ops.ts';
import type { LatentOps } from './runtime/latent-ops.ts';
import type { ModelSession, Runtime } from './runtime/runtime.ts';
import { SessionCache } from './runtime/session-cache.ts';
import type { DeviceTensor } from './runtime/tensor.ts';
import { createTextEncoding } from './text-encoding.ts';
import { createTiledSession } from './tiled-session.ts';
import { type BatchSessions, createLatentSpace } from './unet-space.ts';

/** A model's weights: where each lies, and the bytes. */
export interface ModelWeights {
  readonly compiled: CompiledModel;
  readonly shardsOf: (component: CompiledComponent) => Promise<Blob[]>;
}

export interface CheckpointModelOptions extends ModelWeights {
  readonly runtime: Runtime;
  /** One a text encoder, in the model's order. */
  readonly tokenizers: readonly ClipTokenizer[];
  /** Weights that may be in memory at once. */
  readonly budgetBytes: number;
  /** Told what the next job should say, as sentences. */
  readonly onNote?: (note: string) => void;
}

/** A checkpoint whose sessions are opened when they are first needed. */
export interface CheckpointModel extends DiffusionModel {
  /** Tokens of a prompt by the first tokenizer; textual inversions in use count their vectors. */
  countTokens(prompt: string): TokenCount;
  /** Opens the sessions of an ordinary job, so that the first one does not wait for them. */
  warmUp(options: { height: number; width: number }): Promise<void>;
  /**
   * Gives all weights back and works from now on with the least memory: one part of the model at a time,
   * the VAE in small tiles. False when it does so already.
   */
  economise(): Promise<boolean>;
  /** Works with other weights from now on; only sessions of the `changed` components are given back. */
  useWeights(weights: ModelWeights, changed: readonly ComponentName[]): Promise<void>;
  /** The textual inversions that prompts may name from now on. */
  useEmbeddings(embeddings: readonly LoadedEmbedding[]): void;
  /** The small autoencoder of the checkpoint's latents from now on. */
  useTaesd(taesd: TaesdUse): void;
  /** Whether pictures continue into themselves at their edges from now on. */
  useTiling(isTiling: boolean): void;
  /** Gives all weights back. */
  release(): Promise<void>;
}

/** A TAESD and what it does; its decoder draws previews in any case. */
export interface TaesdUse {
  readonly decoder: Companion | null;
  readonly encoder: Companion | null;
  /** Whether pictures are decoded, and encoded, by it and not by the VAE. */
  readonly decodes: boolean;
  readonly encodes: boolean;
}

const NO_TAESD: TaesdUse = { decoder: null, encoder: null, decodes: false, encodes: false };

export function createCheckpointModel(options: CheckpointModelOptions): CheckpointModel {
  const { runtime, tokenizers, budgetBytes, onNote = () => {} } = options;
  const { description } = options.compiled;
  let current: ModelWeights = options;
  const cache = new SessionCache(budgetBytes);
  const stepGraphs = new StepGraphs(runtime);

  function component(name: ComponentName): CompiledComponent {
    const found = current.compiled.components.find((entry) => entry.name === name);
    if (found) return found;
    throw new GenerationError('invalid-model', `This checkpoint has no ${name}.`);
  }

  function session(
    name: ComponentName,
    shape: GraphShape,
    graphOptions: GraphOptions = {},
    keepOnGpu = false,
  ): Promise<ModelSession> {
    const part = component(name);
    if (onnxConfig(part)) return onnxSession(part, shape, graphOptions, keepOnGpu);
    return cache.get(sessionKey(name, shape, graphOptions), weightBytes(part), async () => {
      const { provider, maxStorageBindingBytes: maxBindingBytes } = runtime.device;
      const graph = buildGraph(part, shape, { ...graphOptions, provider, maxBindingBytes });
      const shards = await current.shardsOf(part);
      return runtime.openSession(graph, { what: `The ${LABELS[name]}`, shards, keepOnGpu });
    });
  }

  /** The same of a ready-made graph, which may take a fixed number of rows at once. */
  async function onnxSession(
    part: CompiledComponent,
    shape: GraphShape,
    { clipSkip = 1, finalNorm = true, overrides = false, control = false, ...rest }: GraphOptions,
    keepOnGpu: boolean,
  ): Promise<ModelSession> {
    if (rest.isTiling)
      onNote("Tiling has no effect: this checkpoint's ONNX graphs are used as they are.");
    const rows = graphRows(part, shape.batch);
    const options = { clipSkip, finalNorm, overrides, control };
    const own = { ...shape, batch: rows };
    const open = async () => {
      const { provider, hasShaderF16 } = runtime.device;
      const shards = await current.shardsOf(part);
      const read = async (shard: number, offset: number, length: number) => {
        const bytes = (shards[shard] ?? new Blob([])).slice(offset, offset + length);
        return new Uint8Array(await bytes.arrayBuffer());
      };
      const graph = await buildOnnxGraph(part, own, { ...options, provider, hasShaderF16 }, read);
      return runtime.openSession(graph, { what: `The ${LABELS[part.name]}`, shards, keepOnGpu });
    };
    const session = await cache.get(sessionKey(part.name, own, options), weightBytes(part), open);
    return rows === shape.batch
      ? session
      : createRowsSession({ runtime, stepGraphs, session, rows });
  }

  /** A session of a network beside the checkpoint. */
  function companionSession(
    { name, key, component: part, shards }: Companion,
    shape: GraphShape,
    graphOptions: GraphOptions = {},
    keepOnGpu = false,
  ): Promise<ModelSession> {
    const id = JSON.stringify([key, shape, graphOptions]);
    return cache.get(id, weightBytes(part), async () => {
      const { provider } = runtime.device;
      const graph = buildGraph(part, shape, { ...graphOptions, provider });
      const what = `The ${LABELS[part.name]} ${name}`;
      return runtime.openSession(graph, { what, shards: await shards(), keepOnGpu });
    });
  }

  let taesd = NO_TAESD;
  let isTiling = false;
  const tilingOption = (): GraphOptions => (isTiling ? { isTiling } : {});
  let embeddings: readonly LoadedEmbedding[] = [];
  let tile = largestTile(current.compiled, runtime.device);
  let isEconomical = false;

  /** A VAE's part for a picture of that many latents: whole, or in tiles where it is too large. */
  async function vae(name: 'vae_encoder' | 'vae_decoder', height: number, width: number) {
    const isDecoder = name === 'vae_decoder';
    const small = isDecoder ? taesd.decodes && taesd.decoder : taesd.encodes && taesd.encoder;
    const open = (rows: number, columns: number, graphOptions: GraphOptions) => {
      const shape = latentShapeOf(1, rows, columns);
      return small ? companionSession(small, shape) : session(name, shape, graphOptions);
    };
    // A graph of fixed sizes has no tiles either.
    const own = current.compiled.components.find((part) => part.name === name);
    const isFixed = !small && own !== undefined && fixedLatents(own).height !== null;
    if (isFixed || (height <= tile && width <= tile)) return open(height, width, tilingOption());
    const { vaeFactor } = description;
    const side = Math.min(tile, COMMON_TILE) * vaeFactor;
    if (isTiling) onNote('The edges of the picture meet less well: the VAE worked in tiles.');
    onNote(
      `The VAE worked in tiles of ${side} pixels: the whole picture is too much for the device.`,
    );
    return createTiledSession({
      runtime,
      // A tile's edges are not the picture's.
      open: (part) => open(part.height, part.width, {}),
      tile: Math.min(tile, COMMON_TILE),
      ...(isDecoder
        ? { input: 'latents', output: 'image', inputScale: 1, outputScale: vaeFactor }
        : {
            input: 'sample',
            output: small ? 'latents' : 'latent_mean',
            inputScale: vaeFactor,
            outputScale: 1,
          }),
    });
  }

  const texts = createTextEncoding(
    description,
    async ({ component: name, hiddenSize }, tokens, states, places) => {
      const index = description.textEncoders.findIndex(({ component }) => component === name);
      const vectors = (word: string) =>
        embeddings.find((embedding) => embedding.name === word)?.values[index] ?? null;
      const others =
        places.length > 0 ? overrides(places, tokens.length, hiddenSize, vectors) : null;
      const options = { ...states, ...(others ? { overrides: true } : {}) };
      const encoder = await session(name, textShape(tokens.length), options);
      const ids = runtime.tensor(Int32Array.from(tokens), [1, tokens.length]);
      const outputs = await encoder.run({
        input_ids: ids,
        ...(others
          ? {
              overrides: runtime.tensor(others.rows, [1, tokens.length, hiddenSize]),
              override_mask: runtime.tensor(others.mask, [1, tokens.length, 1]),
            }
          : {}),
      });
      return {
        states: await take(outputs, 'hidden_states'),
        textEmbeds: outputs.text_embeds ? await take(outputs, 'text_embeds') : null,
      };
    },
  );

  async function encodeImage(image: Float32Array, height: number, width: number) {
    const { vaeFactor, shiftFactor, scalingFactor } = description;
    const encoder = await vae('vae_encoder', height / vaeFactor, width / vaeFactor);
    const outputs = await encoder.run({ sample: runtime.tensor(image, [1, 3, height, width]) });
    // A TAESD's latents are on the sampler's scale.
    if (outputs.latents) return take(outputs, 'latents');
    const mean = await take(outputs, 'latent_mean');
    return mean.map((value) => (value - shiftFactor) * scalingFactor);
  }

  function batchSessions(
    batch: Omit<BatchShape, 'channels'> & Pick<LatentsRequest, 'controls'>,
  ): BatchSessions {
    const { pictures, height, width, controls = [] } = batch;
    // Only a batch with ControlNets pays for their inputs.
    const unetOptions = (copies: number): GraphOptions => ({
      texts: copies,
      ...(controls.length > 0 ? { control: true } : {}),
      ...tilingOption(),
    });
    const unetShape = (copies: number, tokens: number): GraphShape => ({
      ...latentShapeOf(copies * pictures, height, width),
      tokens,
    });
    return {
      unet: (copies, tokens) =>
        session('unet', unetShape(copies, tokens), unetOptions(copies), true),
      hasRoomForSingle: (tokens) =>
        cache.hasRoomFor(
          sessionKey('unet', unetShape(1, tokens), unetOptions(1)),
          weightBytes(component('unet')),
        ),
      vaeDecoder: () => vae('vae_decoder', height, width),
      sketch: sketchOf(height, width),
      controls: {
        hint: (net) =>
          companionSession(
            net,
            { ...latentShapeOf(1, height, width), tokens: 1 },
            { stage: 'hint' },
            true,
          ),
        residuals: (net, copies, tokens, isAdded) =>
          companionSession(net, unetShape(copies, tokens), { isAdded }, true),
      },
    };
  }

  /** Previews by the TAESD, no larger than they are shown. */
  function sketchOf(height: number, width: number): BatchSessions['sketch'] {
    const { decoder } = taesd;
    if (!decoder || height > tile || width > tile) return null;
    const pool = Math.ceil((Math.max(height, width) * description.vaeFactor) / MAX_PREVIEW_SIDE);
    return () => companionSession(decoder, latentShapeOf(1, height, width), { pool });
  }

  async function withLatents<R>(
    request: LatentsRequest,
    use: <T>(space: LatentSpace<T>) => Promise<R>,
  ): Promise<R> {
    const open = async <T>(ops: LatentOps<T>): Promise<R> => {
      const space = createLatentSpace(runtime, ops, batchSessions(request), request, description);
      try {
        return await use(space);
      } finally {
        space.dispose();
      }
    };
    return runtime.device.provider === 'webgpu'
      ? open(createGpuLatentOps(runtime, stepGraphs, request))
      : open(createArrayLatentOps(runtime, request));
  }

  const embeddingsFor = (tokenizer: ClipTokenizer) =>
    createEmbeddingFinder(
      embeddings.map(({ name, vectors }) => ({
        ...{ name, vectors, tokens: tokenizer.encode(name) },
      })),
    );

  return {
    description,
    planPrompts(request) {
      const { chunkOptions = {} } = request;
      const given = (index: number) =>
        'length' in chunkOptions ? chunkOptions[index] : chunkOptions;
      return planConditioning({
        ...{ ...request, tokenizers },
        chunkOptions: tokenizers.map((tokenizer, index) => ({
          ...given(index),
          findEmbedding: embeddingsFor(tokenizer),
        })),
      });
    },
    countTokens(prompt) {
      const [tokenizer] = tokenizers;
      if (!tokenizer) throw new TypeError('a checkpoint without a tokenizer');
      return countTokens(prompt, tokenizer, { findEmbedding: embeddingsFor(tokenizer) });
    },
    encodeTexts: texts.encode,
    encodeImage,
    withLatents,
    async warmUp({ height, width }) {
      const { vaeFactor } = description;
      const fixed = fixedLatents(component('unet'));
      const shape = {
        pictures: 1,
        height: fixed.height ?? height / vaeFactor,
        width: fixed.width ?? width / vaeFactor,
      };
      const tokens = description.textEncoders[0]?.contextLength ?? 77;
      const sessions = batchSessions(shape);
      for (const { component: name, states } of description.textEncoders) {
        const { clipSkip, finalNorm } = states;
        await session(name, textShape(tokens), { clipSkip, finalNorm });
      }
      await sessions.unet(2, tokens);
      await sessions.vaeDecoder();
    },
    async economise() {
      if (isEconomical) return false;
      isEconomical = true;
      tile = Math.min(tile, SMALL_TILE);
      await cache.keepOne();
      return true;
    },
    async useWeights(weights, changed) {
      current = weights;
      texts.forget();
      await cache.drop((key) => changed.some((name) => key.startsWith(`["${name}",`)));
    },
    useEmbeddings(next) {
      const identities = (list: readonly LoadedEmbedding[]) =>
        list.map(({ identity }) => identity).join('|');
      if (identities(next) === identities(embeddings)) return;
      embeddings = next;
      texts.forget();
    },
    useTiling(next) {
      isTiling = next;
      if (next && component('unet').config.type !== 'unet') {
        onNote('Tiling had no effect: this checkpoint’s graphs came ready-made.');
      }
    },
    useTaesd(next) {
      taesd = next;
    },
    async release() {
      texts.forget();
      await cache.clear();
    },
  };
}

/** The rows that textual inversions put in the place of tokens, and where they stand. */
function overrides(
  places: readonly EmbeddingPlace[],
  tokens: number,
  width: number,
  vectors: (name: string) => Float32Array | null,
): { rows: Float32Array<ArrayBuffer>; mask: Float32Array<ArrayBuffer> } {
  const [rows, mask] = [new Float32Array(tokens * width), new Float32Array(tokens)];
  placeEmbeddings(rows, width, places, vectors);
  placeEmbeddings(mask, 1, places, (name) => {
    const values = vectors(name);
    return values && new Float32Array(values.length / width).fill(1);
  });
  return { rows, mask };
}

/** Latents a side of a tile: where tiles are needed, larger ones gain nothing. */
const COMMON_TILE = 64;
/** The same after the device ran out of memory. */
const SMALL_TILE = 32;

const LABELS: Readonly<Record<ComponentName, string>> = {
  text_encoder: 'text encoder',
  text_encoder_2: 'second text encoder',
  unet: 'UNet',
  vae_encoder: 'VAE encoder',
  vae_decoder: 'VAE decoder',
  taesd_encoder: 'TAESD encoder',
  taesd_decoder: 'TAESD decoder',
  controlnet: 'ControlNet',
  upscaler: 'upscaler',
};

function sessionKey(name: ComponentName, shape: GraphShape, options: GraphOptions): string {
  return JSON.stringify([name, shape, options]);
}

function weightBytes({ shardSizes }: CompiledComponent): number {
  return shardSizes.reduce((sum, size) => sum + size, 0);
}

function textShape(tokens: number): GraphShape {
  return { batch: 1, latentHeight: 0, latentWidth: 0, tokens };
}

function latentShapeOf(batch: number, latentHeight: number, latentWidth: number): GraphShape {
  return { batch, latentHeight, latentWidth, tokens: 0 };
}

/** The values of one output, which is given back. */
async function take(outputs: Record<string, DeviceTensor>, name: string): Promise<Float32Array> {
  const values = await outputs[name]?.read();
  outputs[name]?.dispose();
  if (values instanceof Float32Array) return values;
  throw new TypeError(`a graph has no float32 output ${name}`);
}
