/** How weights reach the text encoder's output, by A1111's names. */
export const EMPHASIS_MODES = ['Original', 'No norm', 'Ignore', 'None'] as const;
export type EmphasisMode = (typeof EMPHASIS_MODES)[number];

/**
 * Weighs a text encoder's output for one chunk of a batch of texts, in place.
 *
 * `z` is [texts, tokens, channels] and `multipliers` [texts][tokens]. `Original` multiplies and then restores the
 * mean of the whole of `z`, so that the texts of a batch touch one another, as in A1111; `No norm` multiplies
 * alone; `Ignore` and `None` change nothing.
 */
export function applyEmphasis(
  mode: EmphasisMode,
  z: Float32Array,
  multipliers: readonly (readonly number[])[],
): void {
  if (mode === 'Ignore' || mode === 'None') return;
  const places = multipliers.reduce((sum, row) => sum + row.length, 0);
  if (places === 0 || z.length % places !== 0) {
    throw new RangeError(`${z.length} values do not divide into ${places} tokens`);
  }
  const channels = z.length / places;
  const before = mean(z);
  let place = 0;
  for (const row of multipliers) {
    for (const multiplier of row) {
      // The reference multiplies float32 by float32.
      const factor = Math.fround(multiplier);
      const end = (place + 1) * channels;
      for (let i = place * channels; factor !== 1 && i < end; i++) z[i] = (z[i] ?? 0) * factor;
      place++;
    }
  }
  if (mode === 'Original') restoreMean(z, before);
}

function restoreMean(z: Float32Array, before: number): void {
  const ratio = Math.fround(Math.fround(before) / Math.fround(mean(z)));
  if (ratio === 1) return;
  for (let i = 0; i < z.length; i++) z[i] = (z[i] ?? 0) * ratio;
}

function mean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
