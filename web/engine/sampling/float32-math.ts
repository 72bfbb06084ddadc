import type { LatentMath } from './latent-math.ts';

/**
 * Latents in JavaScript memory: for the wasm provider, for Node and as the reference that the GPU's arithmetic is
 * held against. Sums are made in doubles and rounded to float32 once.
 */
export function createFloat32Math(): LatentMath<Float32Array> {
  return {
    combine(terms) {
      const [first] = terms;
      if (!first) throw new RangeError('combine needs at least one term');
      const sum = new Float64Array(first[1].length);
      for (const [coefficient, latents] of terms) {
        if (latents.length !== sum.length) {
          throw new RangeError(
            `latents of ${latents.length} and ${sum.length} values don't add up`,
          );
        }
        if (coefficient === 0) continue;
        for (let i = 0; i < sum.length; i++) {
          sum[i] = (sum[i] as number) + coefficient * (latents[i] as number);
        }
      }
      return Promise.resolve(Float32Array.from(sum));
    },
    fromArray: (values) => values,
    toArray: (latents) => Promise.resolve(latents),
    keepOnly() {},
  };
}
