import type { TokenCount } from '../../shared/engine.ts';
import { CHUNK_LENGTH, type ChunkOptions, chunkPrompt } from './chunks.ts';
import { composePrompts } from './composition.ts';
import { parseExtraNetworks } from './extra-networks.ts';
import { schedulePrompt } from './schedules.ts';
import type { ClipTokenizer } from './tokenizer.ts';

/**
 * Counts a prompt's tokens as A1111's prompt box does: without tags, and of all AND parts at all steps the longest
 * text. `steps` are the sampler's. Throws `invalid-request` for a weight that is no number.
 */
export function countTokens(
  prompt: string,
  tokenizer: ClipTokenizer,
  { steps = 20, ...options }: ChunkOptions & { readonly steps?: number } = {},
): TokenCount {
  const { texts } = composePrompts([parseExtraNetworks(prompt).text]);
  const scheduled = new Set(
    texts.flatMap((text) => schedulePrompt(text, steps).map((entry) => entry.text)),
  );
  let tokens = 0;
  for (const text of scheduled) {
    tokens = Math.max(tokens, chunkPrompt(text, tokenizer, options).tokenCount);
  }
  return { tokens, room: Math.ceil(Math.max(tokens, 1) / CHUNK_LENGTH) * CHUNK_LENGTH };
}
