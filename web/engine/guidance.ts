import { createContextAlignment } from './context-alignment.ts';
import type { ControlShare, LatentSpace, TextContext } from './diffusion-model.ts';
import type { UncondPadding } from './prompt/conditioning.ts';
import type { ConditioningRef, PassConditioning } from './prompt/plan.ts';
import {
  type CoefficientsAt,
  guidanceWeights,
  type SkipReason,
  skipReason,
  type UncondSkipping,
} from './sampling/denoiser.ts';
import type { NoisePredictor } from './sampling/samplers/timestep-sampler.ts';

/**
 * Classifier-free guidance (Ho and Salimans, arXiv:2207.12598) around the UNet. Everything between the
 * UNet's answers and the sampler is a weighted sum, so the weights are worked out here and applied in one
 * go where the latents live.
 */
export interface GuidanceOptions<T> {
  readonly space: LatentSpace<T>;
  readonly coefficientsAt: CoefficientsAt;
  readonly conditioning: PassConditioning;
  readonly contextOf: (ref: ConditioningRef) => TextContext;
  readonly guidanceScale: number;
  /** What becomes of texts of unlike lengths; they stay so without it. */
  readonly padding?: UncondPadding;
  /** Told when a call's texts were brought to one length. */
  readonly onPad?: () => void;
  /** When the negative prompt is left out. */
  readonly skipping: UncondSkipping;
  /** Calls of the run, as A1111 counts them. */
  readonly totalCalls: number;
  /** Calls that were made before these: schedules of prompts go on. 0 without it. */
  readonly firstCall?: number;
  /** Told once a call has left the negative prompt out. */
  readonly onSkip?: (reason: SkipReason) => void;
  /** Inpainting: puts the picture's own latents back. */
  readonly blend?: ((x: T) => Promise<T>) | null;
  /** Before the UNet sees them (timestep samplers) or behind it (sigma samplers). */
  readonly isBlendedBefore?: boolean;
  /** ControlNets that are at work in the next call. */
  readonly controlsNow?: () => readonly ActiveControl[];
  /** The sampler asks for the unconditional answer too (DDIM CFG++). */
  readonly needsUncond?: boolean;
}

/** A ControlNet that has a share in a call. */
export interface ActiveControl extends Omit<ControlShare, 'exempt'> {
  /** It leaves the negative prompt's answer alone, so that guidance goes towards it. */
  readonly isCondOnly: boolean;
}

/** The texts of one call and each one's share in the guided answer; shares add up to 1. */
interface CallTexts {
  readonly contexts: readonly TextContext[];
  readonly shares: readonly number[];
  /** Place of the negative prompt among the contexts, null where it is left out. */
  readonly uncond: number | null;
}

/** What call number `call` asks the UNet. */
function textsAt<T>(
  options: GuidanceOptions<T>,
  align: ReturnType<typeof createContextAlignment>,
  call: number,
  level: number,
): CallTexts {
  const { conditioning, contextOf, guidanceScale, needsUncond = false } = options;
  // A job has one prompt for all its pictures.
  const parts = conditioning.condAt(call)[0] ?? [];
  const uncondRef = conditioning.uncondAt(call)[0];
  // Also where the negative prompt is left out below: it decides the prompt's length, as in A1111.
  const { parts: contexts, negative } = align({
    parts: parts.map((part) => contextOf(part)),
    negative: uncondRef ? contextOf(uncondRef) : null,
  });
  const weights = parts.map(({ weight }) => weight);
  const { skipping, totalCalls } = options;
  const reason = skipReason(skipping, { call, totalCalls, level });
  if (reason) options.onSkip?.(reason);
  // At scale 1 the negative prompt cancels out of a single part's sum.
  const cancels = guidanceScale === 1 && weights.length === 1 && weights[0] === 1;
  if (!negative || ((reason || cancels) && !needsUncond)) {
    // The first part stands in for the negative prompt, and the scale is 1, as in A1111.
    const { uncond, conds } = guidanceWeights(weights, 1);
    const shares = conds.map((share, place) => (place === 0 ? share + uncond : share));
    return { contexts, shares, uncond: null };
  }
  const { uncond, conds } = guidanceWeights(weights, guidanceScale);
  return {
    contexts: [...contexts, negative],
    shares: [...conds, uncond],
    uncond: contexts.length,
  };
}

/**
 * The guided model over one run: at each call the latents under a noise level (a sigma or a timestep, as
 * `coefficientsAt` has it) become what the sampler wants, guided and, where asked for, unconditional.
 */
export function createGuidedModel<T>(options: GuidanceOptions<T>): NoisePredictor<T> {
  let calls = options.firstCall ?? 0;
  const { conditioning, contextOf, padding = 'separate', onPad } = options;
  const empty = conditioning.empty ? contextOf(conditioning.empty) : null;
  const align = createContextAlignment({ padding, empty, ...(onPad ? { onPad } : {}) });
  const { blend = null, isBlendedBefore = false } = options;
  return async (given, level) => {
    const x = blend && isBlendedBefore ? await blend(given) : given;
    const { contexts, shares, uncond } = textsAt(options, align, calls++, level);
    const { inputScale, timestep, skip, output } = options.coefficientsAt(level);
    const mixes = [[skip, ...shares.map((share) => share * output)]];
    if (options.needsUncond && uncond !== null) {
      mixes.push([skip, ...shares.map((_, place) => (place === uncond ? output : 0))]);
    }
    const controls = (options.controlsNow?.() ?? []).map(({ isCondOnly, ...control }) => ({
      ...control,
      exempt: isCondOnly ? uncond : null,
    }));
    const call = { inputScale, timestep, contexts, mixes, controls };
    const [guided, alone = null] = await options.space.predict(x, call);
    if (guided === undefined) throw new TypeError('the UNet gave no answer');
    const isBlendedBehind = blend && !isBlendedBefore;
    return { guided: isBlendedBehind ? await blend(guided) : guided, uncond: alone };
  };
}
