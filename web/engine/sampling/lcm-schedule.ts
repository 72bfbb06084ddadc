import { at } from './indexing.ts';
import { type NoiseSchedule, noiseScheduleOf } from './noise-schedule.ts';

/** Timesteps that the teacher of a latent consistency model was distilled over (arXiv:2310.04378). */
const ORIGINAL_TIMESTEPS = 50;

/**
 * The sparser schedule that the LCM sampler sees: every 20th of 1,000 timesteps (19, 39 … 999). Times given to
 * the model are those of the full schedule.
 */
export function createLcmSchedule(full: NoiseSchedule): NoiseSchedule {
  const stride = Math.floor(full.alphasCumprod.length / ORIGINAL_TIMESTEPS);
  const sparse = noiseScheduleOf(
    Float32Array.from({ length: ORIGINAL_TIMESTEPS }, (_, i) =>
      at(full.alphasCumprod, full.alphasCumprod.length - 1 - (ORIGINAL_TIMESTEPS - 1 - i) * stride),
    ),
  );
  return {
    ...sparse,
    timeRange: [stride - 1, full.alphasCumprod.length - 1],
    // Always quantised: the consistency function knows these timesteps only.
    sigmaToT: (sigma) => sparse.sigmaToT(sigma, true) * stride + (stride - 1),
    tToSigma: (timestep) => sparse.tToSigma(Math.fround((timestep - (stride - 1)) / stride)),
  };
}
