import type { EMPHASIS_MODES } from '../../../protocol/generation.ts';

export type EmphasisMode = (typeof EMPHASIS_MODES)[number];

/**
 * Weighs a text encoder's output for one chunk of a batch of texts, in place.
 *
 * `z` is [texts, tokens, channels] and `multipliers` [texts][tokens]. `Original` multiplies and then restores the
 * mean of the whole of `z`, so that the texts of a batch touch one another, as in A1111; `repeats` says how often
 * each text counts in it (once). `No norm` multiplies alone; `Ignore` and `None` change nothing.
 */
export function applyEmphasis(
  mode: EmphasisMode,
  z: Float32Array,
  multipliers: readonly (readonly number[])[],
  { repeats }: { readonly repeats?: readonly number[] } = {},
): void {
  if (mode === 'Ignore' || mode === 'None') return;
  const places = multipliers.reduce((sum, row) => sum + row.length, 0);
  if (places === 0 || z.length % places !== 0) {
    throw new RangeError(`${z.length} values do not divide into ${places} tokens`);
  }
  const channels = z.length / places;
  const ends = rowEnds(multipliers, channels);
  const before = weightedMean(z, ends, repeats);
  multiply(z, multipliers, channels);
  if (mode !== 'Original') return;
  const ratio = Math.fround(Math.fround(before) / Math.fround(weightedMean(z, ends, repeats)));
  if (ratio !== 1) for (let i = 0; i < z.length; i++) z[i] = (z[i] ?? 0) * ratio;
}

function multiply(
  z: Float32Array,
  multipliers: readonly (readonly number[])[],
  channels: number,
): void {
  let start = 0;
  for (const row of multipliers) {
    for (const multiplier of row) {
      // The reference multiplies float32 by float32.
      const factor = Math.fround(multiplier);
      const end = start + channels;
      for (let i = start; factor !== 1 && i < end; i++) z[i] = (z[i] ?? 0) * factor;
      start = end;
    }
  }
}

function rowEnds(rows: readonly (readonly number[])[], channels: number): number[] {
  let end = 0;
  return rows.map((row) => {
    end += row.length * channels;
    return end;
  });
}

/** Mean over all values, each row as often as `repeats` says. */
function weightedMean(
  values: Float32Array,
  ends: readonly number[],
  repeats: readonly number[] | undefined,
): number {
  let sum = 0;
  let count = 0;
  let i = 0;
  for (const [row, end] of ends.entries()) {
    const weight = repeats?.[row] ?? 1;
    let rowSum = 0;
    count += (end - i) * weight;
    for (; i < end; i++) rowSum += values[i] ?? 0;
    sum += rowSum * weight;
  }
  return sum / count;
}
