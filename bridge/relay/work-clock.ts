import type { DeviceInfo } from '../../protocol/device.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { JobProgress } from '../../protocol/job.ts';

/** A step may take this long, and this many times as long as the median step, whichever is more. */
const STEP_MS = 60_000;
const STEP_MEDIANS = 20;
/** What may pass without a sign of work while no step has told how fast the device is. */
const UNKNOWN_MS = 600_000;
/** The whole sampling of a job: a floor, a start, and so much a step of 512 x 512 pixels. */
const TOTAL_FLOOR_MS = 150_000;
const TOTAL_START_MS = 30_000;
const TOTAL_UNIT_MS = 2_000;
/** A job may take so many times as long as the device's own steps say. */
const TOTAL_MEDIANS = 4;
const CONTROL_FACTOR = 2;
const UNIT_PIXELS = 512 * 512;
/** Steps that the median is taken of. */
const REMEMBERED = 64;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Pixels of a step of each pass; 0 for a second pass that there is none of. */
function pixelsOf({ width, height, hires }: GenerationParams): { first: number; second: number } {
  const first = width * height;
  if (!hires) return { first, second: 0 };
  const { resizeWidth, resizeHeight, scale } = hires;
  const aspect = width / height;
  if (resizeWidth === 0 && resizeHeight === 0) return { first, second: first * scale ** 2 };
  const wide = resizeWidth || resizeHeight * aspect;
  return { first, second: wide * (resizeHeight || resizeWidth / aspect) };
}

/** How many steps of 512 x 512 pixels a job is worth: both passes of every picture. */
function unitsOf(params: GenerationParams): number {
  const { steps, hires, batchSize, batchCount } = params;
  const { first, second } = pixelsOf(params);
  const pixels = steps * first + (hires?.steps || steps) * second;
  return (pixels * batchSize * batchCount) / UNIT_PIXELS;
}
/** How fast a device is by its own steps, kept for as long as its tab is attached. */
export class DevicePace {
  #unitMs: number[] = [];

  add(ms: number): void {
    this.#unitMs = [...this.#unitMs.slice(1 - REMEMBERED), ms];
  }

  /** Milliseconds for a step of 512 x 512 pixels; null before the first. */
  get unitMs(): number | null {
    return this.#unitMs.length === 0 ? null : median(this.#unitMs);
  }
}

/**
 * Tells a job that is stuck from one that is slow. The lease says only that the worker's event loop
 * lives; a device that never answers leaves it alive and the job without a step. Two clocks, both
 * beside the lease: since the last sign of work, and over the whole of the sampling. Both are scaled by
 * the device's own steps, so that a slow device is never taken for a stuck one.
 */
export class WorkClock {
  readonly #pace: DevicePace;
  readonly #units: number;
  readonly #unitsAStep: number;
  /** How many times as long as the first pass's a step of the second may take: attention is quadratic. */
  readonly #growth: number;
  readonly #totalFactor: number;
  readonly #isSlowKind: boolean;
  #mark = '';
  #lastSign: number;
  #lastStepAt: number | null = null;
  #samplingSince: number | null = null;
  #stepMs: number[] = [];

  constructor(
    params: GenerationParams,
    { pace, device, now }: { pace: DevicePace; device: DeviceInfo | null; now: number },
  ) {
    this.#pace = pace;
    this.#units = unitsOf(params);
    const { first, second } = pixelsOf(params);
    this.#unitsAStep = Math.max((first * params.batchSize) / UNIT_PIXELS, 1e-3);
    this.#growth = Math.max(1, second / first) ** 2;
    this.#totalFactor = params.controls.length > 0 ? CONTROL_FACTOR : 1;
    this.#isSlowKind = device?.provider === 'wasm' || device?.isSoftware === true;
    this.#lastSign = now;
  }

  /** A progress event of the attempt: only one that tells of something new is a sign of work. */
  seen({ stage, imageIndex, step, fraction, message }: JobProgress, now: number): void {
    const isStep = stage === 'sampling';
    const mark = `${stage} ${imageIndex} ${step} ${isStep ? '' : `${fraction} ${message}`}`;
    if (mark === this.#mark) return;
    this.#mark = mark;
    this.#lastSign = now;
    if (!isStep) {
      this.#lastStepAt = null;
      return;
    }
    this.#samplingSince ??= now;
    if (this.#lastStepAt !== null && step > 1) {
      const ms = now - this.#lastStepAt;
      this.#stepMs = [...this.#stepMs.slice(1 - REMEMBERED), ms];
      this.#pace.add(ms / this.#unitsAStep);
    }
    this.#lastStepAt = now;
  }

  /** A machine that slept: nobody is to blame for the gap. */
  forgive(gapMs: number): void {
    this.#lastSign += gapMs;
    if (this.#lastStepAt !== null) this.#lastStepAt += gapMs;
    if (this.#samplingSince !== null) this.#samplingSince += gapMs;
  }

  get #stepLimitMs(): number {
    const ofJob = this.#stepMs.length > 0 ? median(this.#stepMs) : null;
    const ofDevice = this.#pace.unitMs === null ? null : this.#pace.unitMs * this.#unitsAStep;
    const expected = Math.max(ofJob ?? 0, ofDevice ?? 0);
    if (ofJob === null && ofDevice === null) return UNKNOWN_MS;
    return Math.max(STEP_MS, STEP_MEDIANS * expected * this.#growth);
  }

  get #totalLimitMs(): number {
    const { unitMs } = this.#pace;
    if (unitMs === null) return Number.POSITIVE_INFINITY;
    const perUnit = Math.max(TOTAL_UNIT_MS, TOTAL_MEDIANS * unitMs);
    return this.#totalFactor * Math.max(TOTAL_FLOOR_MS, TOTAL_START_MS + perUnit * this.#units);
  }

  /** Why the job counts as stuck, as the end of a sentence; null while it may go on. */
  stuckBecause(now: number): string | null {
    const silence = now - this.#lastSign;
    // Loading, compiling and decoding have no steps to measure by; decoding on a slow device is long.
    const isSampling = this.#lastStepAt !== null;
    const limit = isSampling ? this.#stepLimitMs : UNKNOWN_MS;
    if (silence > Math.max(limit, this.#isSlowKind ? UNKNOWN_MS : 0)) {
      return `it finished no step for ${Math.round(silence / 1000)} s, though it answers.`;
    }
    if (this.#samplingSince === null) return null;
    const total = now - this.#samplingSince;
    if (total <= this.#totalLimitMs) return null;
    return `it has worked for ${Math.round(total / 1000)} s on what its own steps say takes far less.`;
  }
}
