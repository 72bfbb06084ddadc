import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { jsonSource, memorySource } from './lib/files.ts';
import type { TensorBytes } from './lib/safetensors-bytes.ts';
import { type SyntheticOptions, syntheticFolder } from './lib/synthetic.ts';

const open = (options: SyntheticOptions) => openCheckpoint(syntheticFolder(options));

/** Renames tensors, as other versions of the libraries did. */
function renameAll(tensors: Record<string, TensorBytes>, rename: (name: string) => string): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    delete tensors[name];
    tensors[rename(name)] = tensor;
  }
}

describe('names that older and newer files have', () => {
  it('a text encoder without the text_model prefix, with position_ids', async () => {
    const ids = { dtype: 'I64', shape: [1, 77], bytes: new Uint8Array(77 * 8) };
    const checkpoint = await open({
      tensors: {
        text_encoder: (tensors) => {
          renameAll(tensors, (name) => name.replace('text_model.', ''));
          tensors['embeddings.position_ids'] = ids;
        },
      },
    });
    const text = checkpoint.components.find(({ name }) => name === 'text_encoder');
    expect(text?.tensors.has('text_model.final_layer_norm.weight')).toBe(true);
    expect(text?.tensors.has('text_model.embeddings.position_ids')).toBe(false);
  });

  it("a VAE's attention as query, key, value and proj_attn, and as 1×1 convolutions", async () => {
    const old: Record<string, string> = {
      to_q: 'query',
      to_k: 'key',
      to_v: 'value',
      'to_out.0': 'proj_attn',
    };
    const checkpoint = await open({
      tensors: {
        vae: (tensors) => {
          renameAll(tensors, (name) =>
            name.replace(/\.(to_q|to_k|to_v|to_out\.0)\./, (_, now) => `.${old[now]}.`),
          );
          const query = tensors['encoder.mid_block.attentions.0.query.weight']!;
          tensors['encoder.mid_block.attentions.0.query.weight'] = {
            ...query,
            shape: [...query.shape, 1, 1],
          };
        },
      },
    });
    const vae = checkpoint.components.find(({ name }) => name === 'vae_decoder');
    expect(vae?.tensors.has('decoder.mid_block.attentions.0.to_out.0.bias')).toBe(true);
  });

  it('weights in several files with an index, and a .fp16 variant', async () => {
    const whole = syntheticFolder();
    const unet = whole.files.find(({ path }) => path.startsWith('unet/diffusion'))!;
    const bytes = await unet.read(0, unet.sizeBytes);
    const first = 'diffusion_pytorch_model-00001-of-00001.safetensors';
    const index = jsonSource('unet/diffusion_pytorch_model.safetensors.index.json', {
      weight_map: { 'conv_in.weight': first, 'conv_in.bias': first },
    });
    const sharded = await open({
      without: [unet.path],
      extra: [memorySource(`unet/${first}`, bytes), index],
    });
    expect(sharded.sources.map(({ path }) => path)).toContain(`unet/${first}`);
    const variant = 'unet/diffusion_pytorch_model.fp16.safetensors';
    const half = await open({ without: [unet.path], extra: [memorySource(variant, bytes)] });
    expect(half.sources.map(({ path }) => path)).toContain(variant);
  });
});

const unetConfig = (fields: Record<string, unknown>) => ({
  configs: { 'unet/config.json': fields },
});
const vaeConfig = (fields: Record<string, unknown>) => ({ configs: { 'vae/config.json': fields } });
const textConfig = (fields: Record<string, unknown>) => ({
  configs: { 'text_encoder/config.json': fields },
});
const scheduler = (fields: Record<string, unknown>) => ({
  configs: { 'scheduler/scheduler_config.json': fields },
});
const index = (fields: Record<string, unknown>) => ({ configs: { 'model_index.json': fields } });
/** Takes tensors of the UNet away (null) or lays something over them. */
const unetTensors = (changes: Record<string, Partial<TensorBytes> | null>): SyntheticOptions => ({
  tensors: {
    unet: (tensors) => {
      for (const [name, change] of Object.entries(changes)) {
        if (change) tensors[name] = { ...tensors[name], ...change } as TensorBytes;
        else delete tensors[name];
      }
    },
  },
});
const NEW_TENSOR = { dtype: 'F32', shape: [1], bytes: new Uint8Array(4) };
const WEIGHT = 'mid_block.resnets.0.conv1.weight';

/** What is wrong, and what the message must name: the file and the field or tensor. */
const bad: [string, SyntheticOptions, 'invalid-model' | 'unsupported', RegExp][] = [
  [
    'another pipeline',
    index({ _class_name: 'FluxPipeline' }),
    'unsupported',
    /model_index.json.*_class_name.*FluxPipeline/,
  ],
  [
    'another class',
    index({ unet: ['diffusers', 'SD3Transformer2DModel'] }),
    'unsupported',
    /model_index.json.*"unet".*SD3Transformer2DModel/,
  ],
  [
    'a missing config',
    { without: ['unet/config.json'] },
    'invalid-model',
    /unet\/config.json.*missing/,
  ],
  [
    'a missing schedule',
    { without: ['scheduler/scheduler_config.json'] },
    'invalid-model',
    /scheduler_config.json.*missing/,
  ],
  [
    'no weights',
    { without: ['vae/diffusion_pytorch_model.safetensors'] },
    'invalid-model',
    /tiny\/vae.*no .safetensors/,
  ],
  [
    'pickled weights',
    {
      without: ['vae/diffusion_pytorch_model.safetensors'],
      extra: [memorySource('vae/diffusion_pytorch_model.bin', new Uint8Array(9))],
    },
    'unsupported',
    /vae.*diffusion_pytorch_model.bin.*Convert/,
  ],
  [
    'no vocabulary',
    { without: ['tokenizer/vocab.json'] },
    'invalid-model',
    /tokenizer\/vocab.json.*missing.*4096/,
  ],
  [
    'no merges',
    { without: ['tokenizer/merges.txt'] },
    'invalid-model',
    /tokenizer\/merges.txt.*missing/,
  ],
  [
    'a vocabulary too large',
    textConfig({ vocab_size: 100 }),
    'invalid-model',
    /vocab.json.*"t100".*100/,
  ],
  [
    'an unknown pad token',
    { extra: [jsonSource('tokenizer/special_tokens_map.json', { pad_token: '<pad>' })] },
    'invalid-model',
    /pad_token.*<pad>/,
  ],
  [
    'an unknown activation',
    textConfig({ hidden_act: 'relu' }),
    'unsupported',
    /text_encoder\/config.json.*hidden_act.*relu/,
  ],
  [
    'heads that do not divide',
    textConfig({ num_attention_heads: 3 }),
    'invalid-model',
    /num_attention_heads/,
  ],
  ['a width as text', textConfig({ hidden_size: '16' }), 'invalid-model', /hidden_size.*"16"/],
  ['no width', textConfig({ hidden_size: undefined }), 'invalid-model', /hidden_size.*missing/],
  [
    'an unknown block',
    unetConfig({ down_block_types: ['DownBlock2D', 'AttnDownBlock2D', 'CrossAttnDownBlock2D'] }),
    'unsupported',
    /unet\/config.json.*down_block_types.*AttnDownBlock2D/,
  ],
  [
    'too few blocks',
    unetConfig({ up_block_types: ['UpBlock2D'] }),
    'invalid-model',
    /up_block_types.*list of 3/,
  ],
  [
    'an unknown activation of the UNet',
    unetConfig({ act_fn: 'gelu' }),
    'unsupported',
    /unet\/config.json.*act_fn.*gelu/,
  ],
  [
    'a field switched on that nobody knows',
    unetConfig({ use_new_trick: true }),
    'unsupported',
    /unet\/config.json.*use_new_trick/,
  ],
  [
    'class embeddings',
    unetConfig({ class_embed_type: 'timestep' }),
    'unsupported',
    /class_embed_type/,
  ],
  [
    'scale and shift in ResNets',
    unetConfig({ resnet_time_scale_shift: 'scale_shift' }),
    'unsupported',
    /resnet_time_scale_shift/,
  ],
  [
    'groups that do not divide',
    unetConfig({ norm_num_groups: 3 }),
    'invalid-model',
    /norm_num_groups/,
  ],
  [
    'heads of the UNet that do not divide',
    unetConfig({ attention_head_dim: [1, 3, 4] }),
    'invalid-model',
    /attention_head_dim.*level 1/,
  ],
  [
    'a list of wrong length',
    unetConfig({ layers_per_block: [1, 2] }),
    'invalid-model',
    /layers_per_block.*list of 3/,
  ],
  [
    'half a layer',
    unetConfig({ transformer_layers_per_block: [1, 1.5, 1] }),
    'invalid-model',
    /transformer_layers_per_block/,
  ],
  ['a size beyond reason', unetConfig({ in_channels: 1e9 }), 'invalid-model', /in_channels/],
  [
    "a context that is not the text encoder's",
    { ...unetConfig({ cross_attention_dim: 8 }), fitWeights: true },
    'invalid-model',
    /cross_attention_dim/,
  ],
  [
    "latents that are not the VAE's",
    { ...vaeConfig({ latent_channels: 8 }), fitWeights: true },
    'invalid-model',
    /unet\/config.json.*out_channels.*latent_channels is 8/,
  ],
  [
    'latent means',
    vaeConfig({ latents_mean: [0.1] }),
    'unsupported',
    /vae\/config.json.*latents_mean/,
  ],
  ['a scaling factor of 0', vaeConfig({ scaling_factor: 0 }), 'invalid-model', /scaling_factor/],
  [
    'an unknown prediction',
    scheduler({ prediction_type: 'flow' }),
    'unsupported',
    /scheduler_config.json.*prediction_type.*flow/,
  ],
  [
    'an unknown beta schedule',
    scheduler({ beta_schedule: 'squaredcos_cap_v2' }),
    'unsupported',
    /beta_schedule.*squaredcos/,
  ],
  ['betas out of range', scheduler({ beta_end: 2 }), 'invalid-model', /beta_end/],
  [
    'a missing tensor',
    unetTensors({ [WEIGHT]: null }),
    'invalid-model',
    /tiny\/unet.*mid_block.resnets.0.conv1.weight" \[12, 12, 3, 3\] is missing/,
  ],
  [
    'a tensor too many',
    unetTensors({ 'lora.weight': NEW_TENSOR }),
    'unsupported',
    /unet\/diffusion_pytorch_model.safetensors.*"lora.weight"/,
  ],
  [
    'a tensor of other shape',
    unetTensors({ [WEIGHT]: { shape: [9, 12, 3, 4] } }),
    'invalid-model',
    /conv1.weight" should be \[12, 12, 3, 3\].*F32 \[9, 12, 3, 4\]/,
  ],
  [
    'a tensor of integers',
    unetTensors({ [WEIGHT]: { dtype: 'I32' } }),
    'unsupported',
    /conv1.weight" is I32/,
  ],
];

describe('a checkpoint that cannot be used is refused with the file and what is wrong in it', () => {
  it.each(bad)('%s', async (_, options, code, message) => {
    const error = await open(options).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ name: 'GenerationError', code });
    expect((error as Error).message).toMatch(message);
  });

  it('no checkpoint at all', async () => {
    const files = { name: 'notes', files: [memorySource('readme.txt', new Uint8Array(3))] };
    await expect(openCheckpoint(files)).rejects.toMatchObject({ name: 'GenerationError' });
  });
});
