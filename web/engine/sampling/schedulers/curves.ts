import { GenerationError } from '../../../../protocol/errors.ts';
import { at, linspace, linspaceFloat32 } from '../indexing.ts';

/**
 * Sigmas that depend on their ends alone, not on the checkpoint's timesteps. All end in 0 unless said otherwise.
 * Rounded to float32 where torch rounds, so that the last bits agree too.
 */

const { fround } = Math;

/** Karras et al., arXiv:2206.00364, equation 5. */
export function karrasSigmas(steps: number, sigmaMin: number, sigmaMax: number, rho = 7): number[] {
  const low = sigmaMin ** (1 / rho);
  const high = sigmaMax ** (1 / rho);
  const sigmas = linspaceFloat32(0, 1, steps).map((ramp) => {
    const moved = fround(ramp * fround(low - high));
    return fround(fround(fround(high) + moved) ** rho);
  });
  return [...sigmas, 0];
}

/** Evenly spaced in log sigma. */
export function exponentialSigmas(steps: number, sigmaMin: number, sigmaMax: number): number[] {
  const logs = linspaceFloat32(Math.log(sigmaMax), Math.log(sigmaMin), steps);
  return [...logs.map((log) => fround(Math.exp(log))), 0];
}

/** A polynomial of power `rho` in log sigma; rho 1 is exponential. */
export function polyexponentialSigmas(
  steps: number,
  sigmaMin: number,
  sigmaMax: number,
  rho = 1,
): number[] {
  const [low, high] = [Math.log(sigmaMin), Math.log(sigmaMax)];
  const logs = linspaceFloat32(1, 0, steps).map((ramp) => {
    const scaled = fround(fround(ramp ** rho) * fround(high - low));
    return fround(scaled + fround(low));
  });
  return [...logs.map((log) => fround(Math.exp(log))), 0];
}

/**
 * "Align Your Steps", theorem 3.1 (Sabour et al., arXiv:2404.14507): even in arctan sigma. Ends in `sigmaMin`, not in 0.
 */
export function klOptimalSigmas(steps: number, sigmaMin: number, sigmaMax: number): number[] {
  const low = fround(Math.atan(sigmaMin));
  const high = fround(Math.atan(sigmaMax));
  return Array.from({ length: steps + 1 }, (_, step) => {
    const share = fround(step / steps);
    const angle = fround(fround(share * low) + fround(fround(1 - share) * high));
    return fround(Math.tan(angle));
  });
}

/** The ten-step schedules that the authors of Align Your Steps publish (arXiv:2404.14507, quick start guide). */
const ALIGN_YOUR_STEPS = {
  sd1: [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
  sdxl: [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.38, 0.234, 0.113, 0.029],
} as const;

/** Align Your Steps: the published sigmas, interpolated in log sigma for other step counts. */
export function alignYourStepsSigmas(steps: number, isSdxl: boolean): number[] {
  const table = isSdxl ? ALIGN_YOUR_STEPS.sdxl : ALIGN_YOUR_STEPS.sd1;
  if (steps === table.length) return [...table.map(fround), 0];
  // numpy's linspace makes a single point its start, and A1111 counts the table from its small end.
  const logs = table.map(Math.log).reverse();
  const positions = linspace(0, logs.length - 1, steps);
  const sigmas = positions.map((position) => {
    const low = Math.min(Math.floor(position), logs.length - 2);
    const weight = position - low;
    return fround(Math.exp((1 - weight) * at(logs, low) + weight * at(logs, low + 1)));
  });
  return [...sigmas.reverse(), 0];
}

/** More sigmas than this are no schedule but a mistake: exact steps at a strength of nearly nothing. */
const MAX_STEPS = 100_000;

/** Refuses a step count that no schedule has. 0 is one for a schedule: exact steps at strength 0 make no step. */
export function assertSteps(steps: number, { min = 0 }: { min?: 0 | 1 } = {}): void {
  if (!Number.isInteger(steps) || steps < min) {
    throw new GenerationError(
      'invalid-request',
      `Steps must be a whole number from 1; it is ${steps}.`,
    );
  }
  if (steps > MAX_STEPS) {
    throw new GenerationError(
      'invalid-request',
      `A schedule of ${steps} steps is too long: ask for fewer steps or a higher denoising strength.`,
    );
  }
}
