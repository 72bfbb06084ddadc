import { createHash } from 'node:crypto';
import type { GenerationParams } from '../../protocol/generation.ts';
import { formatPythonFloat } from '../../protocol/infotext-values.ts';
import type { GenerationSummary, JobImage } from '../../protocol/job.ts';
import { schedulerLabel } from '../../protocol/samplers.ts';

/** What a picture's name can tell. */
export interface NameFacts {
  readonly image: Omit<JobImage, 'data'>;
  readonly params: GenerationParams;
  readonly summary: GenerationSummary;
  readonly at: Date;
  /** The whole file. */
  readonly bytes: Uint8Array;
  /** Words that `[prompt_words]` takes; A1111's 8 where left out. */
  readonly maxPromptWords?: number | undefined;
}

/** Stands for "nothing, and the text in front of it neither" in A1111's patterns. */
const NOTHING = Symbol('nothing');
type Part = string | typeof NOTHING;

const MAX_PART = 128;
const MAX_DEPTH = 8;
/** File systems allow 255 bytes; a number, the extension and the sidecars' need some. */
const MAX_BYTES = 200;
const MAX_WORDS = 8;

/** A value as a part of a name, as A1111 cleans it. */
function clean(value: string, { keepsSpaces = false } = {}): string {
  const text = keepsSpaces ? value : value.replaceAll(' ', '_');
  return [...text.replace(/[#<>:"/\\|?*\n\r\t]/g, '_').replace(/^ +/, '')]
    .slice(0, MAX_PART)
    .join('')
    .replace(/[ .]+$/, '');
}

function sha256(data: string | Uint8Array, length: string | undefined, fallback: number): string {
  const digits = Math.min(64, Math.max(1, Math.trunc(Number(length ?? fallback)) || fallback));
  return createHash('sha256').update(data).digest('hex').slice(0, digits);
}

const two = (value: number) => String(value).padStart(2, '0');

/** The date's fields in a time zone by its IANA name; the machine's own without one or for an unknown one. */
function dateFields(at: Date, zone: string | undefined) {
  const own = {
    year: String(at.getFullYear()),
    month: two(at.getMonth() + 1),
    day: two(at.getDate()),
    hour: two(at.getHours()),
    minute: two(at.getMinutes()),
    second: two(at.getSeconds()),
  };
  if (zone === undefined || zone === '') return own;
  try {
    const format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      ...{ year: 'numeric', month: '2-digit', day: '2-digit' },
      ...{ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
    });
    const parts = format.formatToParts(at).map(({ type, value }) => [type, value]);
    return { ...own, ...(Object.fromEntries(parts) as Partial<typeof own>) };
  } catch {
    return own;
  }
}

/** The numeric part of `strftime`; other letters stay as they are. */
function formatDate(at: Date, format: string, zone?: string): string {
  const { year, month, day, hour, minute, second } = dateFields(at, zone);
  const values: Readonly<Record<string, string>> = {
    ...{ Y: year, y: year.slice(-2), m: month, d: day, H: hour, M: minute, S: second },
    ...{ I: two(Number(hour) % 12 || 12), p: Number(hour) < 12 ? 'AM' : 'PM' },
    ...{ f: `${String(at.getMilliseconds()).padStart(3, '0')}000`, '%': '%' },
  };
  return format.replace(/%(.)/g, (whole, letter: string) => values[letter] ?? whole);
}

function promptWords(prompt: string, most = MAX_WORDS): string {
  const words = prompt.split(/[\s!-/:-@[-`{-~]+/).filter((word) => word !== '');
  return clean((words.length > 0 ? words : ['empty']).slice(0, most).join(' '), {
    keepsSpaces: true,
  });
}

/** `[hasprompt<a><b|else>]`: each word that the prompt has, or what stands for its absence. */
function hasPrompt(prompt: string, args: readonly string[]): Part {
  const lower = prompt.toLowerCase();
  const found = args.map((arg) => {
    const [word = '', otherwise = ''] = arg.split('|');
    return lower.includes(word.toLowerCase()) ? word : otherwise;
  });
  return args.length === 0 ? NOTHING : clean(found.join(''));
}

type Replacement = (facts: NameFacts, args: readonly string[]) => Part;

const spaced = { keepsSpaces: true };

/** A1111's placeholders, by name. */
const REPLACEMENTS: Readonly<Record<string, Replacement>> = {
  seed: ({ image }) => String(image.seed),
  seed_first: ({ params }) =>
    params.batchSize * params.batchCount === 1 ? NOTHING : String(params.seed),
  seed_last: ({ params }) => {
    const count = params.batchSize * params.batchCount;
    return count === 1 ? NOTHING : String(params.seed + count - 1);
  },
  steps: ({ params }) => String(params.steps),
  cfg: ({ params }) => formatPythonFloat(params.guidanceScale),
  width: ({ image }) => String(image.width),
  height: ({ image }) => String(image.height),
  styles: () => 'None',
  sampler: ({ params }) => clean(params.sampler, spaced),
  scheduler: ({ params }) => clean(schedulerLabel(params.scheduler), spaced),
  model_hash: ({ summary }) => summary.checkpointHash ?? '',
  model_name: ({ summary }) => clean(summary.checkpoint, spaced),
  date: ({ at }) => formatDate(at, '%Y-%m-%d'),
  datetime: ({ at }, [format, zone]) =>
    clean(formatDate(at, format || '%Y%m%d%H%M%S', zone), spaced),
  job_timestamp: ({ at }) => formatDate(at, '%Y%m%d%H%M%S'),
  prompt_hash: ({ image }, [length]) => sha256(image.prompt, length, 8),
  negative_prompt_hash: ({ image }, [length]) => sha256(image.negativePrompt, length, 8),
  full_prompt_hash: ({ image }, [length]) =>
    sha256(`${image.prompt} ${image.negativePrompt}`, length, 8),
  prompt: ({ image }) => clean(image.prompt),
  prompt_no_styles: ({ image }) => clean(image.prompt, spaced),
  prompt_spaces: ({ image }) => clean(image.prompt, spaced),
  prompt_words: ({ image, maxPromptWords }) => promptWords(image.prompt, maxPromptWords),
  batch_number: ({ image, params }) =>
    params.batchSize === 1 ? NOTHING : String((image.index % params.batchSize) + 1),
  batch_size: ({ params }) => String(params.batchSize),
  generation_number: ({ image, params }) =>
    params.batchSize * params.batchCount === 1 ? NOTHING : String(image.index + 1),
  hasprompt: ({ image }, args) => hasPrompt(image.prompt, args),
  clip_skip: ({ summary }) => String(summary.clipSkip),
  denoising: ({ params }) =>
    params.mode === 'img2img' || params.hires
      ? formatPythonFloat(params.hires?.denoisingStrength ?? params.denoisingStrength)
      : NOTHING,
  user: () => NOTHING,
  vae_filename: ({ summary }) => clean(summary.vae?.name ?? 'None', spaced),
  none: () => '',
  image_hash: ({ bytes }, [length]) => sha256(bytes, length, 64),
};

/** A text in front of a placeholder, its name and its arguments in angle brackets. */
const PLACEHOLDER = /(.*?)(?:\[([^[\]]+)\]|$)/gs;

/** A1111's filename pattern filled in; unknown placeholders stay as they are. Not yet safe as a path. */
export function fillPattern(pattern: string, facts: NameFacts): string {
  let result = '';
  for (const [, before = '', inside] of pattern.matchAll(PLACEHOLDER)) {
    if (inside === undefined) {
      result += before;
      continue;
    }
    const args = [...inside.matchAll(/<([^<>]*)>/g)].map(([, arg = '']) => arg);
    const name = inside.replace(/<.*/s, '').toLowerCase();
    const replacement = Object.hasOwn(REPLACEMENTS, name) ? REPLACEMENTS[name] : undefined;
    const value = replacement ? replacement(facts, args) : `[${inside}]`;
    if (value !== NOTHING) result += before + value;
  }
  return result;
}

/** Names that Windows keeps for devices. */
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

function cutToBytes(text: string): string {
  let cut = text;
  while (Buffer.byteLength(cut) > MAX_BYTES) cut = [...cut].slice(0, -1).join('');
  return cut;
}

/**
 * A filled-in pattern as parts of a path below a folder: none is empty, hidden, a device or leads upwards, whatever
 * the pattern and the prompt say. Slashes of either kind part them.
 */
export function safeParts(text: string): string[] {
  return text
    .slice(0, 4096)
    .split(/[/\\]+/)
    .slice(0, MAX_DEPTH)
    .map((part) =>
      cutToBytes(part.replace(/[<>:"|?*]|\p{Cc}/gu, '_').replace(/^[\s.]+|[\s.]+$/g, '')),
    )
    .filter((part) => part !== '')
    .map((part) => (RESERVED.test(part) ? `_${part}` : part));
}
