import { GenerationError } from '../../protocol/errors.ts';
import { buildGraph, type GraphOptions } from '../compiler/build-graph.ts';
import type {
  CompiledComponent,
  CompiledModel,
  ComponentName,
  GraphShape,
} from '../compiler/model.ts';
import type {
  DiffusionModel,
  LatentSpace,
  LatentsRequest,
  TextContext,
} from './diffusion-model.ts';
import { applyEmphasis } from './prompt/emphasis.ts';
import { type ChunkBatch, type EncodeGroup, planConditioning } from './prompt/plan.ts';
import type { ClipTokenizer } from './prompt/tokenizer.ts';
import { createArrayLatentOps } from './runtime/array-latent-ops.ts';
import { createGpuLatentOps, StepGraphs } from './runtime/gpu-latent-ops.ts';
import type { LatentOps } from './runtime/latent-ops.ts';
import type { ModelSession, Runtime } from './runtime/runtime.ts';
import { SessionCache } from './runtime/session-cache.ts';
import { type BatchSessions, createLatentSpace } from './unet-space.ts';

export interface CheckpointModelOptions {
  readonly runtime: Runtime;
  readonly compiled: CompiledModel;
  readonly shardsOf: (component: CompiledComponent) => Promise<Blob[]>;
  /** One a text encoder, in the model's order. */
  readonly tokenizers: readonly ClipTokenizer[];
  /** Weights that may be in memory at once. */
  readonly budgetBytes: number;
}

/** A checkpoint whose sessions are opened when they are first needed. */
export interface CheckpointModel extends DiffusionModel {
  /** Opens the sessions of an ordinary job, so that the first one does not wait for them. */
  warmUp(options: { height: number; width: number }): Promise<void>;
  /** Gives all weights back. */
  release(): Promise<void>;
}

/** Encoded groups kept for re-rolls; one is a few hundred kilobytes at most. */
const MAX_ENCODED_GROUPS = 64;

export function createCheckpointModel(options: CheckpointModelOptions): CheckpointModel {
  const { runtime, compiled, shardsOf, tokenizers, budgetBytes } = options;
  const { description } = compiled;
  const cache = new SessionCache(budgetBytes);
  const stepGraphs = new StepGraphs(runtime);
  const encoded = new Map<string, readonly TextContext[]>();

  function component(name: ComponentName): CompiledComponent {
    const found = compiled.components.find((entry) => entry.name === name);
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
    return cache.get(sessionKey(name, shape, graphOptions), weightBytes(part), async () => {
      const { provider } = runtime.device;
      const graph = buildGraph(part, shape, { ...graphOptions, provider });
      const shards = await shardsOf(part);
      return runtime.openSession(graph, { what: `The ${LABELS[name]}`, shards, keepOnGpu });
    });
  }

  async function encodeRow(tokens: readonly number[], clipSkip: number): Promise<Float32Array> {
    const encoder = await session('text_encoder', textShape(tokens.length), { clipSkip });
    const ids = runtime.tensor(Int32Array.from(tokens), [1, tokens.length]);
    const { hidden_states: states } = await encoder.run({ input_ids: ids });
    const values = await states?.read();
    states?.dispose();
    if (values instanceof Float32Array) return values;
    throw new TypeError('the text encoder has no output hidden_states');
  }

  /** One chunk of every text of a group, weighed together as A1111 weighs them. */
  async function encodeChunk(batch: ChunkBatch, clipSkip: number): Promise<Float32Array[]> {
    const rows: Float32Array[] = [];
    for (const tokens of batch.tokens) rows.push(await encodeRow(tokens, clipSkip));
    const size = rows[0]?.length ?? 0;
    const whole = new Float32Array(rows.length * size);
    for (const [place, row] of rows.entries()) whole.set(row, place * size);
    applyEmphasis('Original', whole, batch.multipliers);
    return rows.map((_, place) => whole.subarray(place * size, (place + 1) * size));
  }

  async function encodeTexts(group: EncodeGroup, clipSkip: number) {
    const key = JSON.stringify([clipSkip, group.texts]);
    const known = encoded.get(key);
    if (known) return known;
    const chunks: Float32Array[][] = [];
    for (const batch of group.encoders[0] ?? []) chunks.push(await encodeChunk(batch, clipSkip));
    const contexts = group.texts.map((_, row) => joinChunks(chunks, row, hiddenSize()));
    encoded.set(key, contexts);
    const [oldest] = encoded.keys();
    if (encoded.size > MAX_ENCODED_GROUPS && oldest !== undefined) encoded.delete(oldest);
    return contexts;
  }

  function hiddenSize(): number {
    return description.textEncoders[0]?.hiddenSize ?? 1;
  }

  async function encodeImage(image: Float32Array, height: number, width: number) {
    const { vaeFactor, shiftFactor, scalingFactor } = description;
    const shape = latentShapeOf(1, height / vaeFactor, width / vaeFactor);
    const encoder = await session('vae_encoder', shape);
    const outputs = await encoder.run({ sample: runtime.tensor(image, [1, 3, height, width]) });
    const mean = await outputs.latent_mean?.read();
    for (const output of Object.values(outputs)) output.dispose();
    if (!(mean instanceof Float32Array)) {
      throw new TypeError('the VAE encoder has no output latent_mean');
    }
    return mean.map((value) => (value - shiftFactor) * scalingFactor);
  }

  function batchSessions({ pictures, height, width }: LatentsRequest): BatchSessions {
    const unetShape = (copies: number, tokens: number): GraphShape => ({
      ...latentShapeOf(copies * pictures, height, width),
      tokens,
    });
    return {
      unet: (copies, tokens) => session('unet', unetShape(copies, tokens), {}, true),
      hasRoomForSingle: (tokens) =>
        cache.hasRoomFor(
          sessionKey('unet', unetShape(1, tokens), {}),
          weightBytes(component('unet')),
        ),
      vaeDecoder: () => session('vae_decoder', latentShapeOf(1, height, width)),
    };
  }

  async function withLatents<R>(
    request: LatentsRequest,
    use: <T>(space: LatentSpace<T>) => Promise<R>,
  ): Promise<R> {
    const open = async <T>(ops: LatentOps<T>): Promise<R> => {
      const space = createLatentSpace(runtime, ops, batchSessions(request), request);
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

  return {
    description,
    planPrompts: (request) => planConditioning({ ...request, tokenizers }),
    encodeTexts,
    encodeImage,
    withLatents,
    async warmUp({ height, width }) {
      const { vaeFactor } = description;
      const shape = { pictures: 1, height: height / vaeFactor, width: width / vaeFactor };
      const tokens = description.textEncoders[0]?.contextLength ?? 77;
      const sessions = batchSessions({ ...shape, channels: 0, contexts: [] });
      await session('text_encoder', textShape(tokens), { clipSkip: 1 });
      await sessions.unet(2, tokens);
      await sessions.vaeDecoder();
    },
    async release() {
      encoded.clear();
      await cache.clear();
    },
  };
}

const LABELS: Readonly<Record<ComponentName, string>> = {
  text_encoder: 'text encoder',
  text_encoder_2: 'second text encoder',
  unet: 'UNet',
  vae_encoder: 'VAE encoder',
  vae_decoder: 'VAE decoder',
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

/** A text's chunks one after the other along the token axis. */
function joinChunks(chunks: readonly Float32Array[][], row: number, channels: number): TextContext {
  const parts = chunks.map((chunk) => chunk[row] ?? new Float32Array(0));
  const values = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    values.set(part, offset);
    offset += part.length;
  }
  return { tokens: values.length / channels, values };
}
