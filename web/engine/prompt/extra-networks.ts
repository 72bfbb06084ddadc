import { GenerationError } from '../../../protocol/errors.ts';
import { parsePythonFloat, parsePythonInt } from '../../../protocol/python-text.ts';

/** What stands in one tag behind its kind: `<lora:name:0.8:te=1>` has the items `name`, `0.8`, `te=1`. */
export interface ExtraNetworkTag {
  readonly items: readonly string[];
  /** Items that are not `key=value`. */
  readonly positional: readonly string[];
  readonly named: Readonly<Record<string, string>>;
}

/** A prompt without its tags, and the tags by kind (`lora`, `hypernet`, …) in order. */
export interface ExtraNetworks {
  readonly text: string;
  readonly networks: ReadonlyMap<string, readonly ExtraNetworkTag[]>;
}

const TAG_START = /<([\p{L}\p{N}_]+):/gu;

/** Cuts `<kind:items>` tags out of a prompt; the blanks around them stay. */
export function parseExtraNetworks(prompt: string): ExtraNetworks {
  const networks = new Map<string, ExtraNetworkTag[]>();
  let text = '';
  let done = 0;
  let close = -1;
  for (const match of prompt.matchAll(TAG_START)) {
    const start = match.index + match[0].length;
    if (match.index < done) continue;
    // The next `>` is looked for once, however many tags are left open before it.
    if (close < start) close = prompt.indexOf('>', start);
    if (close < 0) break;
    if (close === start) continue;
    text += prompt.slice(done, match.index);
    done = close + 1;
    const kind = match[1] ?? '';
    const tags = networks.get(kind) ?? [];
    tags.push(readTag(prompt.slice(start, close)));
    networks.set(kind, tags);
  }
  return { text: text + prompt.slice(done), networks };
}

function readTag(body: string): ExtraNetworkTag {
  const items = body.split(':');
  const positional: string[] = [];
  const named: [string, string][] = [];
  for (const item of items) {
    const [key = '', value, rest] = splitTwice(item);
    if (value !== undefined && rest === undefined) named.push([key, value]);
    else positional.push(item);
  }
  return { items, positional, named: Object.fromEntries(named) };
}

/** Python's `item.split('=', 2)`. */
function splitTwice(item: string): string[] {
  const [first = '', second, ...rest] = item.split('=');
  if (second === undefined) return [first];
  return rest.length === 0 ? [first, second] : [first, second, rest.join('=')];
}

/** The prompts of one batch without tags; only the first prompt's tags count, as in A1111. */
export function parseBatchNetworks(prompts: readonly string[]): {
  readonly texts: readonly string[];
  readonly networks: ExtraNetworks['networks'];
} {
  const parsed = prompts.map(parseExtraNetworks);
  return { texts: parsed.map(({ text }) => text), networks: parsed[0]?.networks ?? new Map() };
}

/** One LoRA as a prompt asks for it. */
export interface LoraRequest {
  readonly name: string;
  /** Strength for the text encoders. */
  readonly textEncoderStrength: number;
  /** Strength for the UNet. */
  readonly unetStrength: number;
  /** Rank to use of a dynamic LoRA; null is all of it. */
  readonly dynamicRank: number | null;
}

/**
 * Reads a `lora` tag: `<lora:name:te:unet:rank>`, or by name (`te=`, `unet=`, `dyn=`). One number is for both;
 * without any both are 1. Throws `invalid-request` where a strength is no number.
 */
export function readLoraTag({ positional, named }: ExtraNetworkTag): LoraRequest {
  const [name, te, unet, rank] = positional;
  if (name === undefined) {
    throw new GenerationError(
      'invalid-request',
      'A LoRA tag in the prompt has no name. Write it like <lora:name:0.8>.',
    );
  }
  const textEncoderStrength = strength(named.te ?? te, 1);
  const unetStrength = strength(named.unet ?? unet, textEncoderStrength);
  const dynamicRank = named.dyn ?? rank;
  return {
    name,
    textEncoderStrength,
    unetStrength,
    dynamicRank: dynamicRank === undefined ? null : checked(parsePythonInt(dynamicRank)),
  };
}

function strength(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : checked(parsePythonFloat(text));
}

function checked(value: number | null): number {
  if (value !== null) return value;
  throw new GenerationError(
    'invalid-request',
    'A LoRA tag in the prompt has a strength that is not a number. Write it like <lora:name:0.8>.',
  );
}
