import { readFileSync } from 'node:fs';
import { createClipTokenizer, loadClipVocabulary } from '../../../web/engine/prompt/tokenizer.ts';

const root = new URL('../../../', import.meta.url);

export function readText(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}

/** One of A1111's vector files; each test names the part it reads. */
export function readVectors<T>(name: string): T {
  return JSON.parse(readText(`test/fixtures/vectors/${name}.json`)) as T;
}

export const clipVocabulary = loadClipVocabulary(readText('public/clip/merges.txt'));

/** SD 1's tokenizer. */
export const clip = createClipTokenizer({ ...clipVocabulary, padId: clipVocabulary.eosId });

/** SD 2's, and SDXL's second. */
export const openClip = createClipTokenizer({ ...clipVocabulary, padId: 0, flavor: 'open-clip' });
