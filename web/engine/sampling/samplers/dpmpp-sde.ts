import {
  addNoise,
  ancestralStep,
  eulerStep,
  midpointSigma,
  type SamplerRun,
  sigmaOf,
  sigmaSteps,
  timeOf,
} from './sampler.ts';

/** DPM-Solver++(2S) as a stochastic differential equation, with the half step at the middle of log sigma (k-diffusion). */
export async function sampleDpmppSde<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  const { math } = run;
  let x = start;
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const denoised = await run.denoiser(x, sigma);
    await run.report({ step, steps, sigma, sigmaHat: sigma, x, denoised });
    if (sigmaNext === 0) {
      x = await eulerStep(math, x, denoised, sigma, sigmaNext);
    } else {
      const sigmaMiddle = midpointSigma(sigma, sigmaNext);
      // The noise is asked for at the sigmas that come back from t, which are not quite those of the schedule.
      const [from, to] = [sigmaOf(timeOf(sigma)), sigmaOf(timeOf(sigmaNext))];
      const toMiddle = ancestralStep(from, sigmaMiddle, run.eta);
      let middle = await eulerStep(math, x, denoised, from, toMiddle.sigmaDown);
      middle = await addNoise(run, middle, run.sNoise * toMiddle.sigmaUp, from, sigmaMiddle);
      // With the half step in the middle the two estimates get weights 1 - 1/(2r) = 0 and 1/(2r) = 1.
      const denoisedMiddle = await run.denoiser(middle, sigmaMiddle);
      const { sigmaDown, sigmaUp } = ancestralStep(from, to, run.eta);
      x = await eulerStep(math, x, denoisedMiddle, from, sigmaDown);
      x = await addNoise(run, x, run.sNoise * sigmaUp, from, to);
    }
    math.keepOnly([x]);
  }
  return x;
}

/** Deviation of the noise that a step of size `h` in log sigma leaves behind (Lu et al., arXiv:2211.01095, SDE form). */
function sdeNoiseScale(
  { eta, sNoise }: { eta: number; sNoise: number },
  sigmaNext: number,
  h: number,
): number {
  return sigmaNext * Math.sqrt(-Math.expm1(-2 * eta * h)) * sNoise;
}

async function sampleDpmpp2mSdeWith<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
  solver: 'midpoint' | 'heun',
): Promise<T> {
  const { math, eta } = run;
  let x = start;
  let previous: { denoised: T; h: number } | null = null;
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const denoised = await run.denoiser(x, sigma);
    await run.report({ step, steps, sigma, sigmaHat: sigma, x, denoised });
    if (sigmaNext === 0) {
      x = denoised;
      math.keepOnly([x]);
      continue;
    }
    const h = Math.log(sigma / sigmaNext);
    const span = h * (1 + eta);
    const growth = -Math.expm1(-span);
    const shrink = (sigmaNext / sigma) * Math.exp(-eta * h);
    if (previous === null) {
      x = await math.combine([
        [shrink, x],
        [growth, denoised],
      ]);
    } else {
      const slope = solver === 'heun' ? 1 - growth / span : growth / 2;
      const correction = (slope * h) / previous.h;
      x = await math.combine([
        [shrink, x],
        [growth + correction, denoised],
        [-correction, previous.denoised],
      ]);
    }
    if (eta > 0) x = await addNoise(run, x, sdeNoiseScale(run, sigmaNext, h), sigma, sigmaNext);
    previous = { denoised, h };
    math.keepOnly([x, denoised]);
  }
  return x;
}

/** DPM-Solver++(2M) SDE with the midpoint correction (k-diffusion). */
export function sampleDpmpp2mSde<T>(
  x: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  return sampleDpmpp2mSdeWith(x, sigmas, run, 'midpoint');
}

/** DPM-Solver++(2M) SDE with Heun's correction (k-diffusion). */
export function sampleDpmpp2mSdeHeun<T>(
  x: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  return sampleDpmpp2mSdeWith(x, sigmas, run, 'heun');
}

/** DPM-Solver++(3M) SDE (k-diffusion): second differences of the estimates from the third step on. */
export async function sampleDpmpp3mSde<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  const { math, eta } = run;
  let x = start;
  /** Earlier estimates with the sizes of the steps that followed them, newest first. */
  let history: { denoised: T; h: number }[] = [];
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const denoised = await run.denoiser(x, sigma);
    await run.report({ step, steps, sigma, sigmaHat: sigma, x, denoised });
    if (sigmaNext === 0) {
      x = denoised;
      math.keepOnly([x]);
      continue;
    }
    const h = Math.log(sigma / sigmaNext);
    const span = h * (1 + eta);
    const weights = threeStepWeights(
      h,
      span,
      history.map((entry) => entry.h),
    );
    x = await math.combine([
      [Math.exp(-span), x],
      [-Math.expm1(-span) + weights.now, denoised],
      ...history.map(({ denoised: old }, i) => [weights.before[i] ?? 0, old] as const),
    ]);
    if (eta > 0) x = await addNoise(run, x, sdeNoiseScale(run, sigmaNext, h), sigma, sigmaNext);
    history = [{ denoised, h }, ...history].slice(0, 2);
    math.keepOnly([x, ...history.map((entry) => entry.denoised)]);
  }
  return x;
}

/** Weights of the estimates in the first and second differences that a 3M step adds. */
function threeStepWeights(
  h: number,
  span: number,
  [h1, h2]: readonly number[],
): { now: number; before: number[] } {
  if (h1 === undefined) return { now: 0, before: [] };
  const phi2 = Math.expm1(-span) / span + 1;
  const r0 = h1 / h;
  if (h2 === undefined) return { now: phi2 / r0, before: [-phi2 / r0] };
  const phi3 = phi2 / span - 0.5;
  const r1 = h2 / h;
  // d10 = (D0 - D1) / r0, d11 = (D1 - D2) / r1; the step adds a * d10 + b * d11.
  const a = phi2 * (1 + r0 / (r0 + r1)) - phi3 / (r0 + r1);
  const b = (-phi2 * r0) / (r0 + r1) + phi3 / (r0 + r1);
  return { now: a / r0, before: [-a / r0 + b / r1, -b / r1] };
}
