import { z } from 'zod';
import type { BridgeApi } from './bridge-api.ts';

/** `GET /sdapi/v1/loras`, as far as it is read; one odd entry hides no other. */
const loraList = z.array(z.unknown());
const loraEntry = z.object({
  name: z.string(),
  metadata: z.record(z.string(), z.unknown()).catch({}),
});

/** What a LoRA's own metadata says of its use. */
export interface LoraFacts {
  /** Words of its training, the most used first. */
  readonly triggers: readonly string[];
  /** The checkpoint that it was trained on; null where it is not said. */
  readonly base: string | null;
}

const MAX_TRIGGERS = 8;
const MAX_LENGTH = 60;

/** Tags of all training sets with how often each was used (`ss_tag_frequency`: set → tag → count). */
function countTags(value: unknown): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  if (typeof value !== 'object' || value === null) return counts;
  for (const set of Object.values(value)) {
    if (typeof set !== 'object' || set === null) continue;
    for (const [tag, count] of Object.entries(set)) {
      const name = tag.trim();
      if (name === '' || name.length > MAX_LENGTH || typeof count !== 'number') continue;
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  return counts;
}

/** Reads trigger words: the phrase of modelspec where the maker gave one, else the tags used most in training. */
export function loraFacts(metadata: Readonly<Record<string, unknown>>): LoraFacts {
  const phrase = metadata['modelspec.trigger_phrase'];
  const given = typeof phrase === 'string' ? phrase.split(',').map((word) => word.trim()) : [];
  const counted = [...countTags(metadata.ss_tag_frequency)]
    .sort(([, a], [, b]) => b - a)
    .map(([tag]) => tag);
  const triggers = [...new Set([...given, ...counted])].filter((word) => word !== '');
  const base = metadata.ss_sd_model_name ?? metadata['modelspec.architecture'];
  return {
    triggers: triggers.slice(0, MAX_TRIGGERS),
    base: typeof base === 'string' && base !== '' && base !== 'None' ? base : null,
  };
}

/** The facts of every LoRA in the bridge's folders, by name. */
export async function readLoraFacts(api: BridgeApi): Promise<ReadonlyMap<string, LoraFacts>> {
  const entries = await api.get('sdapi/v1/loras', loraList);
  return new Map(
    entries.flatMap((entry) => {
      const parsed = loraEntry.safeParse(entry);
      return parsed.success ? [[parsed.data.name, loraFacts(parsed.data.metadata)] as const] : [];
    }),
  );
}

/** A prompt with something added at its end, once. */
export function addToPrompt(prompt: string, addition: string): string {
  if (prompt.includes(addition)) return prompt;
  const before = prompt.trimEnd();
  if (before === '') return addition;
  return /[,(]$/.test(before) ? `${before} ${addition}` : `${before}, ${addition}`;
}

/** A prompt in which a LoRA has this strength: its tag is changed where it is there, else added. */
export function withLora(prompt: string, name: string, strength: number): string {
  const tag = `<lora:${name}:${strength}>`;
  const start = `<lora:${name}`;
  const at = prompt.indexOf(start);
  const end = prompt.indexOf('>', at);
  const follows = prompt[at + start.length];
  if (at >= 0 && end > at && (follows === ':' || follows === '>')) {
    return prompt.slice(0, at) + tag + prompt.slice(end + 1);
  }
  const before = prompt.trimEnd();
  return before === '' ? tag : `${before} ${tag}`;
}
