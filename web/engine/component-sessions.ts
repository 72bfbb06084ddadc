import { GenerationError } from '../../protocol/errors.ts';
import { buildGraph, type GraphOptions } from '../compiler/build-graph.ts';
import { weightBytes } from '../compiler/component.ts';
import {
  type CompiledComponent,
  type CompiledModel,
  type ComponentName,
  type GraphShape,
  graphData,
} from '../compiler/model.ts';
import { buildOnnxGraph } from '../compiler/onnx-folder/build.ts';
import { graphRows, onnxConfig } from '../compiler/onnx-folder/config.ts';
import type { Companion } from './models/companions.ts';
import { createRowsSession } from './rows-session.ts';
import type { StepGraphs } from './runtime/gpu-latent-ops.ts';
import type { ModelSession, Runtime } from './runtime/runtime.ts';
import { SessionCache } from './runtime/session-cache.ts';

/** A model's weights: where each lies, and the bytes. */
export interface ModelWeights {
  readonly compiled: CompiledModel;
  readonly shardsOf: (component: CompiledComponent) => Promise<Blob[]>;
}

export interface ComponentSessionsOptions {
  readonly runtime: Runtime;
  readonly stepGraphs: StepGraphs;
  /** Weights that may be in memory at once. */
  readonly budgetBytes: number;
  /** The checkpoint's, as they are now. */
  readonly weights: () => ModelWeights;
  readonly onNote: (note: string) => void;
}

/** The sessions of a checkpoint's components and of what works beside it, under one budget of weights. */
export interface ComponentSessions {
  /** Throws `invalid-model` where the checkpoint has no such component. */
  component(name: ComponentName): CompiledComponent;
  open(
    name: ComponentName,
    shape: GraphShape,
    graphOptions?: GraphOptions,
    keepOnGpu?: boolean,
  ): Promise<ModelSession>;
  /** A session of a network beside the checkpoint. */
  openCompanion(
    companion: Companion,
    shape: GraphShape,
    graphOptions?: GraphOptions,
    keepOnGpu?: boolean,
  ): Promise<ModelSession>;
  /** True when that session is open, or can be without another one leaving. */
  hasRoomFor(name: ComponentName, shape: GraphShape, graphOptions: GraphOptions): boolean;
  /** From now on every session runs alone. */
  keepOne(): Promise<void>;
  /** Gives back the sessions of these components. */
  drop(names: readonly ComponentName[]): Promise<void>;
  clear(): Promise<void>;
}

export function createComponentSessions({
  runtime,
  stepGraphs,
  budgetBytes,
  weights,
  onNote,
}: ComponentSessionsOptions): ComponentSessions {
  const cache = new SessionCache(budgetBytes);

  function component(name: ComponentName): CompiledComponent {
    const found = weights().compiled.components.find((entry) => entry.name === name);
    if (found) return found;
    throw new GenerationError('invalid-model', `This checkpoint has no ${name}.`);
  }

  /** Of a ready-made graph, which may take a fixed number of rows at once. */
  async function openOnnx(
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
      const shards = await weights().shardsOf(part);
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

  return {
    component,
    async open(name, shape, graphOptions = {}, keepOnGpu = false) {
      const part = component(name);
      if (onnxConfig(part)) return openOnnx(part, shape, graphOptions, keepOnGpu);
      const bytes = weightBytes(part, graphOptions.part);
      return cache.get(sessionKey(name, shape, graphOptions), bytes, async () => {
        const { provider, maxStorageBindingBytes: maxBindingBytes } = runtime.device;
        const graph = buildGraph(part, shape, { ...graphOptions, provider, maxBindingBytes });
        const shards = graphData(graph, await weights().shardsOf(part));
        const of = graphOptions.part === 'context' ? '’s part for texts' : '';
        const what = `The ${LABELS[name]}${of}`;
        return runtime.openSession(graph, { what, shards, keepOnGpu });
      });
    },
    openCompanion({ name, key, component: part, shards }, shape, graphOptions, keepOnGpu = false) {
      const id = JSON.stringify([key, shape, graphOptions]);
      return cache.get(id, weightBytes(part), async () => {
        const { provider } = runtime.device;
        const graph = buildGraph(part, shape, { ...graphOptions, provider });
        const what = `The ${LABELS[part.name]} ${name}`;
        return runtime.openSession(graph, { what, shards: await shards(), keepOnGpu });
      });
    },
    hasRoomFor: (name, shape, graphOptions) =>
      cache.hasRoomFor(
        sessionKey(name, shape, graphOptions),
        weightBytes(component(name), graphOptions.part),
      ),
    keepOne: () => cache.keepOne(),
    drop: (names) => cache.drop((key) => names.some((name) => key.startsWith(`["${name}",`))),
    clear: () => cache.clear(),
  };
}

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
