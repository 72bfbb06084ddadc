import type { GenerationProgress } from '../shared/engine.ts';

export interface ProgressOptions {
  readonly batches: number;
  readonly pictures: number;
  /** Sampling steps of one batch. */
  readonly steps: number;
  readonly report: ((progress: GenerationProgress) => void) | undefined;
}

/** Tells where a job stands; all calls are cheap. */
export interface ProgressReporter {
  encoding(): void;
  beginBatch(batch: number): void;
  /** `done` steps of the batch are made. */
  stepDone(done: number): void;
  /** Picture `place` of the batch is about to be decoded. */
  decoding(place: number): void;
}

/** Share of a batch that sampling takes; decoding is the rest. */
const SAMPLING_SHARE = 0.95;

export function createProgressReporter(options: ProgressOptions): ProgressReporter {
  const { batches, pictures, steps, report } = options;
  const imageCount = batches * pictures;
  let batch = 0;
  let lastStep = 0;
  let startedAt = performance.now();

  function tell(
    stage: GenerationProgress['stage'],
    { step, ofBatch, place = 0 }: { step: number; ofBatch: number; place?: number },
  ): void {
    const fraction = Math.min(1, (batch + ofBatch) / batches);
    const elapsed = (performance.now() - startedAt) / 1000;
    report?.({
      stage,
      imageIndex: Math.min(batch * pictures + place, imageCount - 1),
      imageCount,
      step,
      steps,
      fraction,
      etaSeconds: fraction > 0 ? elapsed / fraction - elapsed : null,
      message: sentence(stage, step),
    });
  }

  function sentence(stage: GenerationProgress['stage'], step: number): string {
    const which = batches > 1 ? ` of batch ${batch + 1} of ${batches}` : '';
    if (stage === 'sampling') return `Sampling step ${step} of ${steps}${which}`;
    return stage === 'decoding' ? `Decoding the picture${which}` : 'Reading the prompt';
  }

  return {
    encoding() {
      startedAt = performance.now();
      tell('encoding', { step: 0, ofBatch: 0 });
    },
    beginBatch(next) {
      batch = next;
      lastStep = 0;
      if (batch === 0) startedAt = performance.now();
      tell('sampling', { step: 0, ofBatch: 0 });
    },
    stepDone(done) {
      // DPM adaptive makes as many steps as it needs.
      const step = Math.min(done, steps);
      lastStep = step;
      tell('sampling', { step, ofBatch: steps > 0 ? (step / steps) * SAMPLING_SHARE : 0 });
    },
    decoding(place) {
      const ofBatch = SAMPLING_SHARE + (1 - SAMPLING_SHARE) * (place / pictures);
      tell('decoding', { step: lastStep, ofBatch, place });
    },
  };
}
