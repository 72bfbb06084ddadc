import { GenerationError } from '../../protocol/errors.ts';
import type { TargetDtype } from './convert.ts';
import type { CompiledComponent, ComponentName, GraphShape, Precision } from './model.ts';
import {
  type AutoencoderKlConfig,
  buildVaeDecoder,
  buildVaeEncoder,
} from './models/autoencoder-kl.ts';
import { buildClipText, type ClipTextConfig } from './models/clip-text.ts';
import { buildControlnet, type ControlnetConfig, type ControlStage } from './models/controlnet.ts';
import { buildRrdbnet, type RrdbnetConfig } from './models/rrdbnet.ts';
import { buildTaesdDecoder, buildTaesdEncoder, type TaesdConfig } from './models/taesd.ts';
import {
  buildUnet,
  buildUnetContext,
  hasContextPart,
  type UnetConfig,
  type UnetPart,
} from './models/unet.ts';
import { GraphBuilder, type Provider } from './onnx/graph-builder.ts';
import type { OnnxGraphConfig } from './onnx-folder/config.ts';
import { scalesName, type WeightSource, type WeightSpec } from './weights.ts';

/** What a component's graph is built from; plain JSON, tagged by `type`. */
export type ComponentConfig =
  | ClipTextConfig
  | UnetConfig
  | AutoencoderKlConfig
  | TaesdConfig
  | ControlnetConfig
  | RrdbnetConfig
  | OnnxGraphConfig;

const CONFIG_TYPES: readonly unknown[] = [
  'clip-text',
  'unet',
  'autoencoder-kl',
  'taesd',
  'controlnet',
  'rrdbnet',
  'onnx',
] satisfies readonly ComponentConfig['type'][];

export interface ComponentOptions {
  readonly clipSkip: number;
  readonly finalNorm: boolean;
  readonly pooled: boolean;
  /** UNet: takes a ControlNet's residuals. */
  readonly control: boolean;
  /** UNet: how many texts each latent comes under, where all rows are at one timestep. */
  readonly texts?: number | undefined;
  /** UNet: which half of it; the whole without. */
  readonly part?: UnetPart | undefined;
  /** ControlNet: which half of its work. */
  readonly stage: ControlStage;
  /** ControlNet: takes another one's residuals and adds its own. */
  readonly isAdded: boolean;
  /** TAESD's decoder: sides of the picture over this. */
  readonly pool: number;
  /** Text encoders: takes vectors in the place of tokens. */
  readonly overrides: boolean;
  /** The picture continues into itself at its edges. */
  readonly isTiling: boolean;
  readonly provider: Provider;
  /** Largest tensor that the device binds to a shader. */
  readonly maxBindingBytes: number;
}

/** The configuration of a compiled component, by its tag. */
export function componentConfig({
  name,
  config,
}: Pick<CompiledComponent, 'name' | 'config'>): ComponentConfig {
  if (CONFIG_TYPES.includes(config.type)) return config as ComponentConfig;
  throw new GenerationError(
    'invalid-model',
    `The compiled ${name} was made by another version of Easel. Delete it from the cache and load the model again.`,
  );
}

const FULL_PRECISION: ReadonlySet<ComponentName> = new Set([
  'vae_encoder',
  'vae_decoder',
  'taesd_encoder',
  'taesd_decoder',
]);

/**
 * Precision that a component is stored and run with. The VAE stays float32: it runs once a picture, and
 * the activations of some (SDXL's) exceed what float16 holds.
 */
export function componentPrecision(name: ComponentName, precision: Precision): Precision {
  return FULL_PRECISION.has(name) ? 'fp32' : precision;
}

/** What a compiled component computes with between its layers: float16 where any weight is stored so. */
export function activationDtype({ weights }: Pick<CompiledComponent, 'weights'>): TargetDtype {
  const isHalf = Object.values(weights).some(({ dtype }) => dtype === 'float16');
  return isHalf ? 'float16' : 'float32';
}

/** Builds the graph of one component; which builder follows from its name and configuration. */
export function buildComponent(
  name: ComponentName,
  config: ComponentConfig,
  dtype: TargetDtype,
  shape: GraphShape,
  weights: WeightSource,
  options: ComponentOptions,
): GraphBuilder {
  const {
    clipSkip,
    finalNorm,
    pooled,
    control,
    texts,
    part,
    pool,
    overrides,
    isTiling,
    provider,
    maxBindingBytes,
  } = options;
  const g = new GraphBuilder(name, { dtype, provider, weights, isTiling });
  switch (config.type) {
    case 'clip-text':
      buildClipText(g, config, {
        ...shape,
        clipSkip,
        finalNorm,
        pooled,
        overrides,
        maxBindingBytes,
      });
      break;
    case 'unet':
      if (part === 'context') buildUnetContext(g, config, shape);
      else {
        const rows = texts ? { texts } : {};
        buildUnet(g, config, { ...shape, control, ...rows, ...(part ? { part } : {}) });
      }
      break;
    case 'autoencoder-kl':
      if (name === 'vae_encoder') buildVaeEncoder(g, config, shape);
      else buildVaeDecoder(g, config, shape);
      break;
    case 'taesd':
      if (name === 'taesd_encoder') buildTaesdEncoder(g, config, shape);
      else buildTaesdDecoder(g, config, { ...shape, pool });
      break;
    case 'controlnet':
      buildControlnet(g, config, { ...shape, stage: options.stage, isAdded: options.isAdded });
      break;
    case 'onnx':
      throw new TypeError(`the ${name} is a ready-made graph: buildOnnxGraph opens it`);
    case 'rrdbnet': {
      const { batch, latentHeight: height, latentWidth: width } = shape;
      buildRrdbnet(g, config, { batch, height, width });
      break;
    }
  }
  return g;
}

/**
 * Every weight that a component's graph asks for, each once, in the order it is used; none for a ready-made
 * graph, which holds its own. With `part` those of that half of a UNet.
 */
export function planWeights(
  name: ComponentName,
  config: ComponentConfig,
  part?: UnetPart,
): WeightSpec[] {
  if (config.type === 'onnx') return [];
  const specs = new Map<string, WeightSpec>();
  const record: WeightSource = (spec) => {
    specs.set(spec.name, spec);
    return { dtype: 'float32', location: '', offset: 0, sizeBytes: 0 };
  };
  const tokens = config.type === 'clip-text' ? config.contextLength : 1;
  const shape = { batch: 1, latentHeight: 8, latentWidth: 8, tokens };
  const options = {
    clipSkip: 1,
    finalNorm: true,
    pooled: false,
    control: false,
    stage: 'residuals',
    isAdded: false,
    pool: 1,
    overrides: false,
    isTiling: false,
    provider: 'wasm',
    maxBindingBytes: Number.POSITIVE_INFINITY,
    part,
  } as const;
  buildComponent(name, config, 'float32', shape, record, options);
  if (config.type === 'controlnet') {
    buildComponent(name, config, 'float32', shape, record, { ...options, stage: 'hint' });
  }
  return [...specs.values()];
}

/** Whether a compiled component is a UNet that can be run as two graphs, the parts `context` and `steps`. */
export function hasParts(component: CompiledComponent): boolean {
  const config = componentConfig(component);
  return config.type === 'unet' && hasContextPart(config);
}

/** Bytes of a component's weights, or of those that one part of a UNet asks for. */
export function weightBytes(component: CompiledComponent, part?: UnetPart): number {
  const whole = component.shardSizes.reduce((sum, size) => sum + size, 0);
  if (!part) return whole;
  const ofContext = contextBytes(component);
  return part === 'context' ? ofContext : whole - ofContext;
}

/** Asked for at every step. */
const knownContextBytes = new WeakMap<CompiledComponent, number>();

function contextBytes(component: CompiledComponent): number {
  const known = knownContextBytes.get(component);
  if (known !== undefined) return known;
  const bytes = planWeights(component.name, componentConfig(component), 'context')
    .flatMap(({ name }) => [name, scalesName(name)])
    .reduce((sum, name) => sum + (component.weights[name]?.sizeBytes ?? 0), 0);
  knownContextBytes.set(component, bytes);
  return bytes;
}
