import type { EmphasisMode } from './emphasis.ts';
import type { EncodeGroup } from './plan.ts';

/** A LoRA or textual inversion that was used. */
export interface UsedNetwork {
  readonly name: string;
  /** First twelve hex digits of its hash; empty where there is none. */
  readonly shortHash: string;
}

/**
 * Names with hashes as `Lora hashes` and `TI hashes` have them; null where there are none. Colons and commas are taken
 * out of names, networks without a hash left out.
 */
export function networkHashes(networks: readonly UsedNetwork[]): string | null {
  const hashes = networks
    .filter(({ shortHash }) => shortHash !== '')
    .map(({ name, shortHash }) => `${name.replace(/[:,]/g, '')}: ${shortHash}`);
  return hashes.length === 0 ? null : hashes.join(', ');
}

export interface PromptParamsOptions {
  readonly emphasis?: EmphasisMode;
  /** Short hash of a textual inversion, empty where there is none. */
  readonly embeddingHash?: (name: string) => string;
}

/**
 * What encoding a job's prompts adds to its infotexts: `TI hashes`, the last group's first and a name as often as
 * encoders and groups used it, and `Emphasis` where brackets met another mode than A1111's own.
 */
export function promptInfotextParams(
  groups: readonly EncodeGroup[],
  { emphasis = 'Original', embeddingHash = () => '' }: PromptParamsOptions = {},
): Record<string, string> {
  const params: Record<string, string> = {};
  const calls = groups.flatMap(({ encoders }) =>
    encoders.map((chunks) => {
      const names = chunks.flatMap(({ embeddings }) => embeddings.flat().map(({ name }) => name));
      return [...new Set(names)].map((name) => ({ name, shortHash: embeddingHash(name) }));
    }),
  );
  const hashes = networkHashes(calls.reverse().flat());
  if (hashes !== null) params['TI hashes'] = hashes;
  const hasBrackets = groups.some(({ texts }) => texts.some((text) => /[([]/.test(text)));
  if (hasBrackets && emphasis !== 'Original') params.Emphasis = emphasis;
  return params;
}
