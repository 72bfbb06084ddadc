import type { GraphOptions } from '../compiler/build-graph.ts';
import { hasParts } from '../compiler/component.ts';
import type { ComponentName, GraphShape } from '../compiler/model.ts';
import { fixedLatents } from '../compiler/onnx-folder/config.ts';
import type { TokenCount } from '../shared/engine.ts';
import { createComponentSessions, type ModelWeights } from './component-sessions.ts';
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
import { createArrayLatentOps } from './runtime/array-latent-ops.ts';
import { createGpuLatentOps, StepGraphs } from './runtime/gpu-latent-ops.ts';
import type { LatentOps } from './runtime/latent-ops.ts';
import type { Runtime } from './runtime/runtime.ts';
import type { DeviceTensor } from './runtime/tensor.ts';
import { createTextEncoding } from './text-encoding.ts';
import { createTiledSession } from './tiled-session.ts';
import { type BatchSessions, createLatentSpace } from './unet-space.ts';

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
  const stepGraphs = new StepGraphs(runtime);
  const sessions = createComponentSessions({
    ...{ runtime, stepGraphs, budgetBytes, onNote },
    weights: () => current,
  });

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
      return small
        ? sessions.openCompanion(small, shape)
        : sessions.open(name, shape, graphOptions);
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
      const encoder = await sessions.open(name, textShape(tokens.length), options);
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
    // A ready-made graph stays in one piece.
    const isParted = hasParts(sessions.component('unet'));
    const unetOptions = (copies: number): GraphOptions => ({
      texts: copies,
      ...(isParted ? { part: 'steps' } : {}),
      ...(controls.length > 0 ? { control: true } : {}),
      ...tilingOption(),
    });
    const unetShape = (copies: number, tokens: number): GraphShape => ({
      ...latentShapeOf(copies * pictures, height, width),
      tokens,
    });
    // What depends on the texts alone depends on no picture's size.
    const contextShape = (copies: number, tokens: number): GraphShape => ({
      ...latentShapeOf(copies * pictures, 1, 1),
      tokens,
    });
    return {
      unetContext: isParted
        ? (copies, tokens) =>
            sessions.open('unet', contextShape(copies, tokens), { part: 'context' }, true)
        : null,
      unet: (copies, tokens) =>
        sessions.open('unet', unetShape(copies, tokens), unetOptions(copies), true),
      hasRoomForSingle: (tokens) =>
        sessions.hasRoomFor('unet', unetShape(1, tokens), unetOptions(1)),
      vaeDecoder: () => vae('vae_decoder', height, width),
      sketch: sketchOf(height, width),
      controls: {
        hint: (net) =>
          sessions.openCompanion(
            net,
            { ...latentShapeOf(1, height, width), tokens: 1 },
            { stage: 'hint' },
            true,
          ),
        residuals: (net, copies, tokens, isAdded) =>
          sessions.openCompanion(net, unetShape(copies, tokens), { isAdded }, true),
      },
    };
  }

  /** Previews by the TAESD, no larger than they are shown. */
  function sketchOf(height: number, width: number): BatchSessions['sketch'] {
    const { decoder } = taesd;
    if (!decoder || height > tile || width > tile) return null;
    const pool = Math.ceil((Math.max(height, width) * description.vaeFactor) / MAX_PREVIEW_SIDE);
    return () => sessions.openCompanion(decoder, latentShapeOf(1, height, width), { pool });
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
      const fixed = fixedLatents(sessions.component('unet'));
      const shape = {
        pictures: 1,
        height: fixed.height ?? height / vaeFactor,
        width: fixed.width ?? width / vaeFactor,
      };
      const tokens = description.textEncoders[0]?.contextLength ?? 77;
      const batch = batchSessions(shape);
      for (const { component: name, states } of description.textEncoders) {
        const { clipSkip, finalNorm } = states;
        await sessions.open(name, textShape(tokens), { clipSkip, finalNorm });
      }
      await batch.unetContext?.(2, tokens);
      await batch.unet(2, tokens);
      await batch.vaeDecoder();
    },
    async economise() {
      if (isEconomical) return false;
      isEconomical = true;
      tile = Math.min(tile, SMALL_TILE);
      await sessions.keepOne();
      return true;
    },
    async useWeights(weights, changed) {
      current = weights;
      texts.forget();
      await sessions.drop(changed);
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
    },
    useTaesd(next) {
      taesd = next;
    },
    async release() {
      texts.forget();
      await sessions.clear();
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
