import type { CheckpointComponent } from '../checkpoint.ts';
import { parseAutoencoderKlConfig } from '../config/autoencoder-kl-config.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import { readJsonObject } from '../json-file.ts';
import type { ModelDescription, ModelFiles } from '../model.ts';
import { type AutoencoderKlConfig, vaeFactor } from '../models/autoencoder-kl.ts';
import { checkWeights } from './check-weights.ts';
import { countWhile, missingTensor, renameTensors, type Tensors, withPrefix } from './ldm-keys.ts';
import { readLdmVae } from './ldm-keys-vae.ts';
import { fileWords, type ModelParts, type OpenOptions, openOnlyFile } from './parts.ts';

const PREFIX = 'first_stage_model.';
/** What the VAE was trained against, and averages kept beside the weights. */
const IGNORED = /^(loss|model_ema|discriminator)\./;
const NORM_GROUPS = 32;

/**
 * Opens a stand-alone VAE: a `.safetensors` file with LDM's names, with or without their prefix, or with
 * diffusers', alone or beside its `config.json`. Scaling is the checkpoint's that it is used with
 * (`fitVae`), as in A1111. Rejects with `invalid-model` or `unsupported` naming the file and the tensor.
 */
export async function openVae(files: ModelFiles, options: OpenOptions = {}): Promise<ModelParts> {
  const { file, header } = await openOnlyFile(files, 'vae', options);
  const inner = withPrefix(header.tensors, PREFIX);
  const prefix = inner.size > 0 ? PREFIX : '';
  const all = inner.size > 0 ? inner : header.tensors;
  const tensors = new Map([...all].filter(([name]) => !IGNORED.test(name)));
  const isDiffusers = [...tensors.keys()].some((name) =>
    /^(en|de)coder\.(down|up)_blocks\./.test(name),
  );
  const components = (config: AutoencoderKlConfig, weights: Tensors): CheckpointComponent[] => [
    { name: 'vae_encoder', config, tensors: weights },
    { name: 'vae_decoder', config, tensors: weights },
  ];
  if (!isDiffusers) {
    const { config, keys } = readLdmVae({ file: file.path, prefix }, tensors, 1);
    const weights = renameTensors(tensors, keys);
    const parts = components(config, weights);
    const nameOf = (name: string) =>
      weights.get(name)?.name ?? `${prefix}${keys.toLdm(name) ?? name}`;
    checkWeights(file.path, weights, parts, fileWords(nameOf));
    return { components: parts, sources: [file] };
  }
  const sidecar = files.files.find(({ path }) => path === 'config.json');
  const weights = new Map([...tensors].map(([name, tensor]) => [currentVaeName(name), tensor]));
  const config = sidecar
    ? parseAutoencoderKlConfig(sidecar.path, await readJsonObject(sidecar, { maxBytes: 2 ** 20 }))
    : readDiffusersVae(file.path, weights);
  const parts = components(config, weights);
  checkWeights(
    file.path,
    weights,
    parts,
    fileWords((name) => `${prefix}${name}`),
  );
  return { components: parts, sources: sidecar ? [file, sidecar] : [file] };
}

const OLD_ATTENTION_NAMES: Readonly<Record<string, string>> = {
  query: 'to_q',
  key: 'to_k',
  value: 'to_v',
  proj_attn: 'to_out.0',
};

/** The attention had other names until diffusers 0.14; most published files still do. */
export function currentVaeName(name: string): string {
  return name.replace(
    /(\.attentions\.0\.)(query|key|value|proj_attn)\./,
    (_, path: string, old: string) => `${path}${OLD_ATTENTION_NAMES[old]}.`,
  );
}

/** The structure of a VAE with diffusers' names, read off its tensors. */
function readDiffusersVae(file: string, tensors: Tensors): AutoencoderKlConfig {
  const place = { file, prefix: '' };
  const size = (name: string, axis: number): number => {
    const found = tensors.get(name)?.shape[axis];
    if (found === undefined) throw missingTensor(place, name);
    return found;
  };
  const conv = (level: number, layer: number) =>
    `encoder.down_blocks.${level}.resnets.${layer}.conv1.weight`;
  const levels = countWhile(tensors, (level) => conv(level, 0));
  if (levels === 0) throw missingTensor(place, conv(0, 0));
  const blockOutChannels = Array.from({ length: levels }, (_, level) => size(conv(level, 0), 0));
  const odd = blockOutChannels.find((channels) => channels === 0 || channels % NORM_GROUPS !== 0);
  if (odd !== undefined) {
    throw unsupportedModel(
      file,
      `has a level of ${odd} channels, which do not make ${NORM_GROUPS} groups.`,
    );
  }
  return {
    type: 'autoencoder-kl',
    inChannels: size('encoder.conv_in.weight', 1),
    outChannels: size('decoder.conv_out.weight', 0),
    latentChannels: size('decoder.conv_in.weight', 1),
    blockOutChannels,
    layersPerBlock: countWhile(tensors, (layer) => conv(0, layer)),
    normGroups: NORM_GROUPS,
    scalingFactor: 1,
    shiftFactor: 0,
    midBlockAttention: tensors.has('encoder.mid_block.attentions.0.group_norm.weight'),
    quantConv: tensors.has('quant_conv.weight'),
    postQuantConv: tensors.has('post_quant_conv.weight'),
  };
}

/** What a VAE must fit. */
export interface VaePlace
  extends Pick<ModelDescription, 'latentChannels' | 'scalingFactor' | 'shiftFactor'> {
  /** Pixels per latent; null where the checkpoint has no VAE of its own that would say it. */
  readonly vaeFactor: number | null;
}

/**
 * A VAE's configuration as a checkpoint uses it: with the checkpoint's scaling. Throws `invalid-model`
 * where its latents are not the checkpoint's.
 */
export function fitVae(
  name: string,
  config: AutoencoderKlConfig,
  checkpoint: VaePlace,
): AutoencoderKlConfig {
  const { latentChannels, scalingFactor, shiftFactor } = checkpoint;
  if (config.latentChannels !== latentChannels) {
    throw invalidModel(
      name,
      `this VAE's latents have ${config.latentChannels} channels, the checkpoint's ${latentChannels}. Choose a VAE made for this checkpoint, or Automatic.`,
    );
  }
  const factor = vaeFactor(config);
  if (checkpoint.vaeFactor !== null && factor !== checkpoint.vaeFactor) {
    throw invalidModel(
      name,
      `this VAE makes ${factor} × ${factor} pixels of a latent, the checkpoint's ${checkpoint.vaeFactor} × ${checkpoint.vaeFactor}. Choose a VAE made for this checkpoint, or Automatic.`,
    );
  }
  return { ...config, scalingFactor, shiftFactor };
}
