import { z } from 'zod';
import { GenerationError } from '../errors.ts';
import { isPlainSegment } from './model-reference.ts';
import { onnxFiles } from './onnx-files.ts';

/** One entry of the hub's tree: `GET /api/models/OWNER/NAME/tree/COMMIT?recursive=true`. */
export const hubEntry = z.object({
  type: z.string(),
  path: z.string().max(1000),
  size: z.number().min(0).default(0),
  /** Present for large files; `oid` is the content's SHA-256 in hex. */
  lfs: z.object({ oid: z.string(), size: z.number().min(0) }).nullish(),
});
export type HubEntry = z.infer<typeof hubEntry>;

/** Which files of a repository make the model. */
export interface HubChoice {
  /** `folder`: a diffusers pipeline, or ready-made graphs; `component`: weights with a config.json; `file`: one whole file. */
  readonly layout: 'folder' | 'component' | 'file';
  readonly files: readonly HubEntry[];
  /** What was chosen where there was a choice, for a person; or null. */
  readonly note: string | null;
}

/** Folders of a pipeline that hold weights; the second text encoder is SDXL's. */
const WEIGHT_FOLDERS = ['text_encoder', 'text_encoder_2', 'unet', 'vae'];
const NEEDED_FOLDERS = ['text_encoder', 'unet', 'vae'];
const TEXT_FOLDERS = ['tokenizer', 'tokenizer_2', 'scheduler'];
const MAX_TEXT_BYTES = 16 * 2 ** 20;
const GRAPHS_NOTE =
  'The repository holds ready-made ONNX graphs: they draw, but LoRAs and ControlNets do not work with them.';
const STEMS = ['diffusion_pytorch_model', 'model'];
/** Half precision first: half the bytes, and what the device computes with. */
const VARIANTS = ['.fp16', ''];
const NUMBER = '\\d{5}-of-\\d{5}';

/** Chooses a repository's files. Throws `unsupported` where nothing in it can be run. */
export function chooseHubFiles(repo: string, entries: readonly HubEntry[]): HubChoice {
  const files = entries.filter(
    ({ type, path }) => type === 'file' && path.split('/').every(isPlainSegment),
  );
  const byPath = new Map(files.map((file) => [file.path, file]));
  const pipeline = byPath.has('model_index.json') ? pipelineFiles(byPath) : null;
  if (pipeline) return { layout: 'folder', files: pipeline, note: null };
  const config = byPath.get('config.json');
  const weights = config ? weightsIn('', byPath) : null;
  if (config && weights) return { layout: 'component', files: [config, ...weights], note: null };
  const single = singleFile(files);
  // Of a checkpoint more can be made than of graphs; a LoRA or a VAE beside graphs is not what is meant.
  if (single?.files.some(({ path }) => !isBeside(path))) return { layout: 'file', ...single };
  const graphs = onnxFiles(repo, files);
  if (graphs) {
    return { layout: 'folder', files: [...graphs, ...textFiles(byPath)], note: GRAPHS_NOTE };
  }
  if (single) return { layout: 'file', ...single };
  throw nothingToRun(repo, files);
}

function pipelineFiles(byPath: ReadonlyMap<string, HubEntry>): HubEntry[] | null {
  const chosen: HubEntry[] = [];
  for (const folder of WEIGHT_FOLDERS) {
    const config = byPath.get(`${folder}/config.json`);
    const weights = weightsIn(`${folder}/`, byPath);
    if (config && weights) chosen.push(config, ...weights);
    else if (NEEDED_FOLDERS.includes(folder)) return null;
  }
  return [...chosen, ...textFiles(byPath)];
}

/** What a pipeline says of itself, its vocabularies and its noise schedule. */
function textFiles(byPath: ReadonlyMap<string, HubEntry>): HubEntry[] {
  return [...byPath.values()].filter(({ path, size }) => {
    const [folder = '', name = '', ...below] = path.split('/');
    const isText = below.length === 0 && /\.(json|txt)$/.test(name) && size <= MAX_TEXT_BYTES;
    return path === 'model_index.json' || (TEXT_FOLDERS.includes(folder) && isText);
  });
}

/** A component's safetensors, whole or in numbered pieces with their index; null where there are none. */
function weightsIn(folder: string, byPath: ReadonlyMap<string, HubEntry>): HubEntry[] | null {
  for (const variant of VARIANTS) {
    for (const stem of STEMS) {
      const whole = byPath.get(`${folder}${stem}${variant}.safetensors`);
      if (whole) return [whole];
      const index =
        byPath.get(`${folder}${stem}${variant}.safetensors.index.json`) ??
        byPath.get(`${folder}${stem}.safetensors.index${variant}.json`);
      if (!index) continue;
      const half = variant.replace('.', '\\.');
      const piece = new RegExp(`^${stem}(${half}-${NUMBER}|-${NUMBER}${half})\\.safetensors$`);
      const pieces = [...byPath.values()].filter(
        ({ path }) => path.startsWith(folder) && piece.test(path.slice(folder.length)),
      );
      if (pieces.length > 0) return [index, ...pieces];
    }
  }
  return null;
}

/** Of several whole checkpoints the one that most people want: half precision, pruned, small. */
function singleFile(files: readonly HubEntry[]): Pick<HubChoice, 'files' | 'note'> | null {
  const weights = files.filter(({ path }) => /^[^/]+\.safetensors$/i.test(path));
  const [best] = [...weights].sort(
    (a, b) => rank(a.path) - rank(b.path) || a.size - b.size || (a.path < b.path ? -1 : 1),
  );
  if (!best) return null;
  const note =
    weights.length === 1
      ? null
      : `The repository holds ${weights.length} such files; ${best.path} was chosen. Give another one's address for that.`;
  return { files: [best], note };
}

/** Whether a file's name says that it is something to put beside a checkpoint. */
function isBeside(path: string): boolean {
  return /lora|vae|refiner|offset|controlnet|embedding/.test(path.toLowerCase());
}

function rank(path: string): number {
  const name = path.toLowerCase();
  let points = 0;
  if (isBeside(name)) points += 100;
  if (/non-?_?ema|fp32|full/.test(name)) points += 10;
  if (/inpaint/.test(name)) points += 5;
  if (/fp16|half/.test(name)) points -= 4;
  if (/emaonly|pruned/.test(name)) points -= 2;
  return points;
}

function nothingToRun(repo: string, files: readonly HubEntry[]): GenerationError {
  const pickled = files.find(({ path }) => /\.(bin|ckpt|pt|pth)$/i.test(path));
  const others = files.some(({ path }) => /^(transformer|prior|unet)\//.test(path));
  const why = pickled
    ? `has its weights only as pickled files (${pickled.path}), which can run code when they are read. Look for a copy of it in .safetensors.`
    : others
      ? 'is no Stable Diffusion 1, 2 or XL model, and those are the ones that Easel runs.'
      : 'holds no .safetensors file that Easel can run.';
  return new GenerationError('unsupported', `${repo} ${why}`);
}

/** The SHA-256 of a large file, as the hub names it; null for small ones. */
export function hubSha256({ lfs }: HubEntry): string | null {
  const oid = lfs?.oid.replace(/^sha256:/, '').toLowerCase() ?? '';
  return /^[0-9a-f]{64}$/.test(oid) ? oid : null;
}
