import { z } from 'zod';
import type { ModelListing } from '../catalog.ts';
import { GenerationError } from '../errors.ts';
import { webPlatform } from '../web-platform.ts';

export type DownloadKind = ModelListing['kind'];

/** A kind is the first whose mark some tensor's name bears; the compiler looks closer when it loads the file. */
const MARKS: readonly (readonly [RegExp, DownloadKind])[] = [
  [/^lora_(unet|te\d?)_|[._]lora[._](up|down|A|B)\b|[._](hada_w1|lokr_w1)/, 'lora'],
  [/^control_model\.|^input_hint_block\.|^controlnet_(cond_embedding|down_blocks)\./, 'controlnet'],
  [/^(emb_params|clip_[lg])$|^string_to_param\./, 'embedding'],
  [/^model\.diffusion_model\./, 'checkpoint'],
  [
    /^((params(_ema)?|model_state_dict)\.)?conv_first\.weight$|^model\.1\.sub\.\d+\.RDB1\./,
    'esrgan',
  ],
  [/^(first_stage_model\.)?(encoder\.down|decoder\.up)(_blocks)?\.0\./, 'vae'],
  [/^(taesd_)?(encoder|decoder)\.layers\.\d+\./, 'taesd'],
  [/^(taesd_(encoder|decoder)\.)?\d+\.conv\.0\.weight$/, 'taesd'],
];

/** What a file's tensors make it, or null where no mark is known. */
export function kindOfTensors(names: readonly string[]): DownloadKind | null {
  for (const [mark, kind] of MARKS) if (names.some((name) => mark.test(name))) return kind;
  return null;
}

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 16 * 2 ** 20;

const tensor = z.object({ data_offsets: z.tuple([z.number(), z.number()]) });

export interface HeaderFacts {
  readonly tensors: readonly string[];
  /** Size of the whole file by its own account. */
  readonly fileBytes: number;
}

/** How many bytes of a file hold its header, from the first eight. Throws `invalid-model` for no safetensors file. */
export function headerEnd(file: string, start: Uint8Array): number {
  const no = (why: string) =>
    new GenerationError('invalid-model', `${file} is no safetensors file: ${why}`);
  if (start.length < LENGTH_BYTES) throw no(`it has ${start.length} bytes.`);
  // Pickles are zip archives, or begin with the opcode PROTO.
  if ((start[0] === 0x50 && start[1] === 0x4b) || (start[0] === 0x80 && (start[1] ?? 9) < 6)) {
    throw no(
      'it is a pickled file, which can run code when it is read. Look for a .safetensors file of this model.',
    );
  }
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length < 2n || length > MAX_HEADER_BYTES) throw no('its header has no sensible length.');
  return LENGTH_BYTES + Number(length);
}

/** Reads a whole header. Throws `invalid-model`. */
export function readHeader(file: string, bytes: Uint8Array): HeaderFacts {
  const end = headerEnd(file, bytes);
  let header: unknown;
  try {
    const text = new webPlatform.TextDecoder('utf-8', { fatal: true });
    header = JSON.parse(text.decode(bytes.subarray(LENGTH_BYTES, end)));
  } catch (cause) {
    throw new GenerationError(
      'invalid-model',
      `${file} is no safetensors file: its header is damaged.`,
      {
        cause,
      },
    );
  }
  const tensors: string[] = [];
  let dataBytes = 0;
  for (const [name, entry] of Object.entries(header ?? {})) {
    const parsed = tensor.safeParse(entry);
    if (name === '__metadata__' || !parsed.success) continue;
    tensors.push(name);
    dataBytes = Math.max(dataBytes, parsed.data.data_offsets[1]);
  }
  return { tensors, fileBytes: end + dataBytes };
}
