import type { Checkpoint } from '../checkpoint.ts';
import { parseSchedulerConfig } from '../config/scheduler-config.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import { textStates } from '../layouts/describe.ts';
import { ModelFolder } from '../layouts/folder.ts';
import { readTokenizer } from '../layouts/tokenizer.ts';
import {
  type ByteSource,
  type ComponentName,
  type ModelDescription,
  type ModelFamily,
  type ModelFiles,
  type TextEncoderDescription,
  TIME_IDS,
} from '../model.ts';
import { type OnnxComponent, type OpenGraphOptions, openGraph, tokenTable } from './component.ts';
import { fixedLatents, type OnnxGraphConfig } from './config.ts';
import { graphFile } from './files.ts';
import type { PortRole } from './ports.ts';

/** What the families have in common, where a folder leaves its configurations out. */
const FAMILIES = {
  sd1: { side: 512, scaling: 0.18215 },
  sd2: { side: 512, scaling: 0.18215 },
  sdxl: { side: 1024, scaling: 0.13025 },
} as const satisfies Record<ModelFamily, { side: number; scaling: number }>;
const USUAL_FACTOR = 8;
const USUAL_TOKENS = 77;
/** Width of the text that SD 2's UNets look at; SD 1's is 768. */
const SD2_CONTEXT = 1024;
/** Stable Diffusion's betas, for folders without a scheduler's configuration. */
const USUAL_SCHEDULE = {
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
} as const;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Opens a folder of ready-made graphs (optimum's, diffusers' or Olive's export) as a checkpoint. Graphs
 * are used as they are; what the engine must know is read from the graphs, from the `config.json` beside
 * each where there is one, and is the family's usual where neither tells.
 * Rejects with `unsupported` before any weight is read where a graph has operators that `device` lacks.
 */
export async function openOnnxFolder(
  files: ModelFiles,
  options: OpenGraphOptions = {},
): Promise<Checkpoint> {
  const folder = new ModelFolder(files, options.signal);
  const used: ByteSource[] = [];
  const open = async (name: ComponentName): Promise<OnnxComponent | null> => {
    const file = graphFile(files, name);
    if (!file) return null;
    const component = await openGraph(files, name, file, options);
    used.push(file, ...component.onnx.data.values());
    return component;
  };
  const unet = await open('unet');
  const text = await open('text_encoder');
  const text2 = await open('text_encoder_2');
  if (!unet) throw missing(files, 'unet');
  if (!text) throw missing(files, 'text_encoder');
  const [encoder, decoder] = [await open('vae_encoder'), await open('vae_decoder')];

  const unetFields = (await folder.jsonIfPresent('unet/config.json')) ?? {};
  const vaeFields =
    (await folder.jsonIfPresent('vae_decoder/config.json')) ??
    (await folder.jsonIfPresent('vae/config.json')) ??
    {};
  const textFields = (await folder.jsonIfPresent('text_encoder/config.json')) ?? {};
  const family = familyOf(unet, textFields);
  if (family === 'sdxl' && !text2) throw missing(files, 'text_encoder_2');
  const vae = vaeFacts(vaeFields, decoder, family);
  const notes: string[] = [];
  const texts = [await describeText(folder, text, textFields, family, notes)];
  if (text2 && family === 'sdxl') {
    const fields = (await folder.jsonIfPresent('text_encoder_2/config.json')) ?? {};
    texts.push(await describeText(folder, text2, fields, family, notes));
  }
  checkContext(unet, texts);
  if (unet.config.inputs.some(({ role, type }) => role === 'timestep' && type !== 1)) {
    notes.push("The UNet's graph takes whole time steps, so those between two were rounded.");
  }
  const components = [text, ...(family === 'sdxl' && text2 ? [text2] : []), unet];
  return {
    name: files.name,
    description: {
      family,
      ...(await schedule(folder, family, notes)),
      isPredictionAssumed: false,
      latentChannels: vae.latentChannels ?? channels(unet.config, 'out_sample') ?? 4,
      ...{ vaeFactor: vae.factor, scalingFactor: vae.scaling, shiftFactor: vae.shift },
      unetInChannels: channels(unet.config, 'sample') ?? count(unetFields, 'in_channels') ?? 4,
      unetInputs: unetInputs(unet.config, unetFields, texts),
      nativeResolution: nativeSide(unet, unetFields, vae.factor, family),
      textEncoders: texts.map(({ description }) => description),
      notes,
    },
    components: [...components, ...[encoder, decoder].filter((part) => part !== null)].map((part) =>
      configured(part, texts, vae, unetFields),
    ),
    sources: [...new Set([...folder.used(), ...used])].sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
}

function missing({ name }: ModelFiles, component: ComponentName): Error {
  return invalidModel(
    `${name}/${component}`,
    'holds no .onnx file. An ONNX folder needs text_encoder, unet and vae_decoder, each with its model.onnx.',
  );
}

function familyOf(unet: OnnxComponent, textFields: Fields): ModelFamily {
  if (unet.config.inputs.some(({ role }) => role === 'text_embeds')) return 'sdxl';
  if (textFields.hidden_act === 'gelu') return 'sd2';
  return lastSize(unet.config, 'encoder_hidden_states') === SD2_CONTEXT ? 'sd2' : 'sd1';
}

async function schedule(folder: ModelFolder, family: ModelFamily, notes: string[]) {
  const path = 'scheduler/scheduler_config.json';
  const fields = await folder.jsonIfPresent(path);
  if (!fields && family === 'sd2') {
    notes.push(
      'Nothing in this folder says what its SD 2 UNet predicts; epsilon was assumed. If pictures come out as noise, add scheduler/scheduler_config.json with "prediction_type": "v_prediction".',
    );
  }
  return parseSchedulerConfig(`${folder.name}/${path}`, fields ?? USUAL_SCHEDULE);
}

interface VaeFacts {
  readonly latentChannels: number | null;
  readonly factor: number;
  readonly scaling: number;
  readonly shift: number;
  readonly blockOutChannels: readonly number[] | null;
}

function vaeFacts(fields: Fields, decoder: OnnxComponent | null, family: ModelFamily): VaeFacts {
  const blocks = counts(fields.block_out_channels);
  return {
    latentChannels:
      (decoder && channels(decoder.config, 'latents')) ?? count(fields, 'latent_channels'),
    factor: blocks ? 2 ** (blocks.length - 1) : USUAL_FACTOR,
    scaling: finite(fields.scaling_factor) || FAMILIES[family].scaling,
    shift: finite(fields.shift_factor),
    blockOutChannels: blocks,
  };
}

interface DescribedText {
  readonly description: TextEncoderDescription;
  readonly config: OnnxGraphConfig;
}

async function describeText(
  folder: ModelFolder,
  { name, config, onnx }: OnnxComponent,
  fields: Fields,
  family: ModelFamily,
  notes: string[],
): Promise<DescribedText> {
  const component = name === 'text_encoder_2' ? name : 'text_encoder';
  const table = tokenTable(onnx.model)?.tensor.shape ?? [];
  const vocabSize = table[0] ?? count(fields, 'vocab_size');
  const hiddenSize =
    table[1] ??
    count(fields, 'hidden_size') ??
    lastSize(config, 'last_hidden_state') ??
    lastSize(config, 'hidden_states');
  if (vocabSize === null || hiddenSize === null) {
    throw unsupportedModel(
      onnx.file.path,
      'does not show its token table, and there is no config.json beside it that says vocab_size and hidden_size.',
    );
  }
  const tokenizer = component === 'text_encoder_2' ? 'tokenizer_2' : 'tokenizer';
  const tokens = await readTokenizer(folder, tokenizer, vocabSize);
  const given = config.outputs.flatMap(({ layer }) => (layer === undefined ? [] : [layer]));
  const layers = count(fields, 'num_hidden_layers') ?? Math.max(1, ...given);
  const states = textStates(family);
  const wanted = layers + 1 - states.clipSkip;
  if (!states.finalNorm && !given.includes(wanted)) {
    throw unsupportedModel(
      onnx.file.path,
      `does not give out hidden_states.${wanted}, which SDXL's UNet is conditioned by. Export it with its hidden states, as optimum does.`,
    );
  }
  const canSkip = given.includes(layers);
  if (states.followsClipSkip && !canSkip) {
    notes.push(
      "Clip skip has no effect with this checkpoint: its ONNX text encoder gives out the last layer's states alone.",
    );
  }
  const contextLength =
    count(fields, 'max_position_embeddings') ?? fixedSize(config, 'input_ids', 1) ?? USUAL_TOKENS;
  const embeds = config.outputs.find(({ role }) => role === 'text_embeds');
  return {
    config: { ...config, layers },
    description: {
      ...{ component, layers, hiddenSize, contextLength, vocabSize },
      ...tokens,
      states: { ...states, followsClipSkip: states.followsClipSkip && canSkip },
      projectionSize: embeds
        ? (lastSize(config, 'text_embeds') ?? count(fields, 'projection_dim') ?? hiddenSize)
        : null,
    },
  };
}

function unetInputs(
  config: OnnxGraphConfig,
  fields: Fields,
  texts: readonly DescribedText[],
): ModelDescription['unetInputs'] {
  const has = (role: PortRole) => config.inputs.some((port) => port.role === role);
  const projection = texts.at(-1)?.description.projectionSize ?? null;
  return {
    textEmbeds: has('text_embeds') ? (lastSize(config, 'text_embeds') ?? projection) : null,
    timeIds: has('time_ids') ? (lastSize(config, 'time_ids') ?? TIME_IDS.base) : null,
    timestepCond: has('timestep_cond')
      ? (lastSize(config, 'timestep_cond') ?? count(fields, 'time_cond_proj_dim') ?? 256)
      : null,
  };
}

/** The texts side by side are what the UNet looks at. */
function checkContext(unet: OnnxComponent, texts: readonly DescribedText[]): void {
  const width = lastSize(unet.config, 'encoder_hidden_states');
  const sizes = texts.map(({ description }) => description.hiddenSize);
  if (width === null || width === sizes.reduce((sum, size) => sum + size, 0)) return;
  throw invalidModel(
    unet.onnx.file.path,
    `takes texts of width ${width}, but the text encoders give ${sizes.join(' + ')}.`,
  );
}

function nativeSide(
  unet: OnnxComponent,
  fields: Fields,
  factor: number,
  family: ModelFamily,
): number {
  const fixed = fixedLatents(unet);
  const side = fixed.height ?? fixed.width ?? count(fields, 'sample_size');
  return side === null ? FAMILIES[family].side : side * factor;
}

/** A component with what only the others, or the files beside it, tell. */
function configured(
  part: OnnxComponent,
  texts: readonly DescribedText[],
  vae: VaeFacts,
  unetFields: Fields,
): OnnxComponent {
  const text = texts.find(({ description }) => description.component === part.name);
  const levels = part.name === 'unet' ? counts(unetFields.block_out_channels) : null;
  const isVae = part.name === 'vae_encoder' || part.name === 'vae_decoder';
  return {
    ...part,
    config: {
      ...(text?.config ?? part.config),
      ...{ vaeFactor: vae.factor, scalingFactor: vae.scaling, shiftFactor: vae.shift },
      ...(isVae && vae.blockOutChannels ? { blockOutChannels: vae.blockOutChannels } : {}),
      ...(levels ? { down: levels.map((size) => ({ channels: size })) } : {}),
    },
  };
}

function fixedSize(config: OnnxGraphConfig, role: PortRole, axis: number): number | null {
  const port = [...config.inputs, ...config.outputs].find((each) => each.role === role);
  const size = port?.shape.at(axis);
  return typeof size === 'number' ? size : null;
}

const channels = (config: OnnxGraphConfig, role: PortRole) => fixedSize(config, role, 1);
const lastSize = (config: OnnxGraphConfig, role: PortRole) => fixedSize(config, role, -1);

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 1_000_000;
}

function count(fields: Fields, name: string): number | null {
  const value = fields[name];
  return isCount(value) ? value : null;
}

function counts(value: unknown): readonly number[] | null {
  return Array.isArray(value) && value.length > 0 && value.every(isCount) ? value : null;
}

function finite(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
