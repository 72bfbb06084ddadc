import { type ModelKind, modelKindOf } from '../../../protocol/model-kind.ts';
import type { ModelFamily } from '../model.ts';
import type { SafetensorsHeader } from '../safetensors.ts';

/** What a safetensors file is, by its tensors' names and shapes alone. */
export interface DetectedModel {
  readonly kind: ModelKind;
  /** null where the file does not tell, as for VAEs, which families share. */
  readonly family: ModelFamily | null;
  /** Whose names the file uses: `ldm` those of single-file checkpoints. */
  readonly layout: 'ldm' | 'diffusers' | null;
}

type Tensors = ReadonlyMap<string, { readonly shape: readonly number[] }>;

/** Says what kind of model a file holds and for which family it is made. */
export function detectModel({ tensors }: Pick<SafetensorsHeader, 'tensors'>): DetectedModel {
  const { kind, layout } = modelKindOf(tensors.keys());
  return { kind, family: familyOf(kind, tensors), layout };
}

function familyOf(kind: ModelKind, tensors: Tensors): ModelFamily | null {
  switch (kind) {
    case 'checkpoint':
    case 'unet':
    case 'controlnet':
      return unetFamily(tensors);
    case 'lora':
      return loraFamily(tensors);
    case 'embedding':
      return embeddingFamily(tensors);
    default:
      return null;
  }
}

/** SDXL embeds sizes and pooled text; SD 2's transformers have linear projections, SD 1's convolutions. */
function unetFamily(tensors: Tensors): ModelFamily | null {
  for (const name of tensors.keys()) {
    if (/(^|\.)(label_emb\.0\.0|add_embedding\.linear_1)\.weight$/.test(name)) return 'sdxl';
  }
  const projection = find(tensors, /(^|\.)proj_in\.weight$/);
  if (!projection) return null;
  return projection.length === 2 ? 'sd2' : 'sd1';
}

/** Widths of the published models' text states, which cross attention reads. */
const CONTEXT_FAMILIES: ReadonlyMap<number | undefined, ModelFamily> = new Map([
  [768, 'sd1'],
  [1024, 'sd2'],
  [2048, 'sdxl'],
]);

function loraFamily(tensors: Tensors): ModelFamily | null {
  if (find(tensors, /^lora_te2_|^text_encoder_2\./)) return 'sdxl';
  const down = find(tensors, /attn2[._]to_[kv][._].*(lora_down|lora_A|lora\.down)/);
  const factor = find(tensors, /attn2[._]to_[kv]\.hada_w1_b$/);
  const read = CONTEXT_FAMILIES.get(down?.[1] ?? factor?.[1]);
  if (read) return read;
  // SDXL alone has transformers deeper than one block.
  if (find(tensors, /transformer_blocks[._][1-9]/)) return 'sdxl';
  return null;
}

function embeddingFamily(tensors: Tensors): ModelFamily | null {
  if (tensors.has('clip_g')) return 'sdxl';
  const vectors = tensors.get('emb_params') ?? [...tensors.values()][0];
  return CONTEXT_FAMILIES.get(vectors?.shape.at(-1)) ?? null;
}

/** Shape of the first tensor of a matching name. */
function find(tensors: Tensors, name: RegExp): readonly number[] | undefined {
  for (const [candidate, { shape }] of tensors) if (name.test(candidate)) return shape;
  return undefined;
}
