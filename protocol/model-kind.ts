import type { ModelListing } from './catalog.ts';

/** What a model file is, as far as the names of its tensors tell: bridge and compiler sort files by it. */
export type ModelKind =
  | 'checkpoint'
  | 'unet'
  | 'text-encoder'
  | 'vae'
  | 'taesd'
  | 'controlnet'
  | 'lora'
  | 'embedding'
  | 'upscaler'
  | 'unknown';

/** Whose names a file uses: `ldm` those of single-file checkpoints; null where both use the same. */
export type NameLayout = 'ldm' | 'diffusers' | null;

/** A kind is the first whose mark some name bears. */
const MARKS: readonly (readonly [RegExp, ModelKind, NameLayout])[] = [
  [/^lora_(unet|te\d?)_|[._]lora[._](up|down|A|B)\b|[._](hada_w1|lokr_w1)/, 'lora', null],
  [/^control_model\.|^input_hint_block\./, 'controlnet', 'ldm'],
  [/^controlnet_(cond_embedding|down_blocks)\./, 'controlnet', 'diffusers'],
  [/^(emb_params|clip_[lg])$|^string_to_param\./, 'embedding', null],
  [/^model\.diffusion_model\./, 'checkpoint', 'ldm'],
  [/^input_blocks\.0\.0\.weight$/, 'unet', 'ldm'],
  [/^time_embedding\.linear_1\.weight$/, 'unet', 'diffusers'],
  [
    /^((params(_ema)?|model_state_dict)\.)?conv_first\.weight$|^model\.1\.sub\.\d+\.RDB1\./,
    'upscaler',
    null,
  ],
  [/^(first_stage_model\.)?(encoder\.down|decoder\.up)\.0\./, 'vae', 'ldm'],
  [/^(encoder\.down|decoder\.up)_blocks\.0\./, 'vae', 'diffusers'],
  [/^(taesd_)?(encoder|decoder)\.layers\.\d+\./, 'taesd', 'diffusers'],
  [/^(taesd_(encoder|decoder)\.)?\d+\.conv\.0\.weight$/, 'taesd', null],
  [/transformer\.resblocks\.0\./, 'text-encoder', 'ldm'],
  [/text_model\.embeddings\./, 'text-encoder', 'diffusers'],
];

/** Parts of a single-file checkpoint besides the UNet. */
const OTHER_PARTS = /^(first_stage_model|cond_stage_model|conditioner)\./;

/** The kind of model whose tensors bear these names. */
export function modelKindOf(tensorNames: Iterable<string>): {
  readonly kind: ModelKind;
  readonly layout: NameLayout;
} {
  const names = [...tensorNames];
  for (const [mark, kind, layout] of MARKS) {
    if (!names.some((name) => mark.test(name))) continue;
    const isWhole = kind !== 'checkpoint' || names.some((name) => OTHER_PARTS.test(name));
    return { kind: isWhole ? kind : 'unet', layout };
  }
  return { kind: 'unknown', layout: null };
}

/** The list that a file of a kind belongs into; null for what is in none (parts of checkpoints, other files). */
export function listingKindOf(kind: ModelKind): ModelListing['kind'] | null {
  if (kind === 'upscaler') return 'esrgan';
  if (kind === 'unet' || kind === 'text-encoder' || kind === 'unknown') return null;
  return kind;
}
