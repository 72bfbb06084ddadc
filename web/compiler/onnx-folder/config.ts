import { GenerationError } from '../../../protocol/errors.ts';
import type { CompiledComponent } from '../model.ts';
import type { Port } from './ports.ts';

/** What the engine must know of a ready-made graph; JSON, kept in the manifest. */
export type OnnxGraphConfig = {
  readonly type: 'onnx';
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** UNet: sides in latents must be multiples of it. */
  readonly multiple: number;
  /** Pixels per latent. */
  readonly vaeFactor: number;
  /** VAE: between the sampler's scale and the graph's. */
  readonly scalingFactor: number;
  readonly shiftFactor: number;
  /** Text encoders: layers, which `hidden_states` is counted by. */
  readonly layers: number;
  /** Text encoders: the token table's rows before positions are added; null where they are not found. */
  readonly tokenRows: { readonly name: string; readonly type: number } | null;
  /** Channels by level, where the folder tells: how much memory a size takes. */
  readonly blockOutChannels?: readonly number[];
  readonly down?: readonly { readonly channels: number }[];
};

/** The configuration of a component that is a ready-made graph, or null for one of our own. */
export function onnxConfig({ config }: Pick<CompiledComponent, 'config'>): OnnxGraphConfig | null {
  return config.type === 'onnx' ? (config as OnnxGraphConfig) : null;
}

const BATCHED: ReadonlySet<Port['role']> = new Set(['sample', 'latents', 'input_ids']);

/** Rows that a graph takes at once: its fixed batch, or as many as there are. */
export function graphRows(component: Pick<CompiledComponent, 'config'>, rows: number): number {
  const port = onnxConfig(component)?.inputs.find(({ role }) => BATCHED.has(role));
  const batch = port?.shape[0];
  return typeof batch === 'number' ? batch : rows;
}

/** Throws `invalid-request` where a graph cannot make a picture of that many latents, saying what it can. */
export function checkLatents(
  component: Pick<CompiledComponent, 'config' | 'name'>,
  asked: { readonly height: number; readonly width: number },
): void {
  const config = onnxConfig(component);
  if (!config) return;
  const { multiple, vaeFactor } = config;
  const { height, width } = fixedLatents(component);
  const what = WHAT[component.name] ?? component.name;
  const pixels = (size: { height: number; width: number }) =>
    `${size.width * vaeFactor}×${size.height * vaeFactor}`;
  if ((height ?? asked.height) !== asked.height || (width ?? asked.width) !== asked.width) {
    const only = pixels({ height: height ?? asked.height, width: width ?? asked.width });
    throw new GenerationError(
      'invalid-request',
      `This checkpoint's ${what} was exported for ${only} pixels alone, not for ${pixels(asked)}. Set the size to ${only}, without hires. fix.`,
    );
  }
  if (asked.height % multiple !== 0 || asked.width % multiple !== 0) {
    throw new GenerationError(
      'invalid-request',
      `This checkpoint's ${what} was exported for sides that are multiples of ${multiple * vaeFactor} pixels, which ${pixels(asked)} is not. Round both sides.`,
    );
  }
}

const WHAT: Readonly<Partial<Record<CompiledComponent['name'], string>>> = {
  unet: 'UNet',
  vae_encoder: 'VAE encoder',
  vae_decoder: 'VAE decoder',
};

export interface LatentSize {
  readonly height: number | null;
  readonly width: number | null;
}

/** The sides that a graph is fixed to, in latents; null where any goes. */
export function fixedLatents(component: Pick<CompiledComponent, 'config' | 'name'>): LatentSize {
  const config = onnxConfig(component);
  const port = config?.inputs.find(({ role }) => role === 'sample' || role === 'latents');
  if (!config || !port) return { height: null, width: null };
  const scale = component.name === 'vae_encoder' ? config.vaeFactor : 1;
  const side = (size: Port['shape'][number] | undefined) =>
    typeof size === 'number' ? size / scale : null;
  return { height: side(port.shape[2]), width: side(port.shape[3]) };
}
