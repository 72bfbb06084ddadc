import type { Catalog } from '../../protocol/catalog.ts';
import type { EngineStatus } from '../../protocol/device.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary } from '../../protocol/job.ts';
import type { LocalEngine } from '../../web/engine/local-engine.ts';
import type { GenerateOptions } from '../../web/shared/engine.ts';
import { createWatched } from '../../web/shared/watched.ts';

export interface StubDenoiser {
  readonly status: EngineStatus;
  readonly catalog: Catalog;
  readonly summary: GenerationSummary;
  /** Milliseconds that one step takes. */
  readonly stepMs: number;
  /** The file of a seed's picture. */
  readonly picture: (seed: number, infotext: string) => Uint8Array;
  readonly onBegin?: (seed: number) => void;
}

/** An engine whose denoiser only waits; it runs in a tab's worker as well as in Node. */
export function createStubLocalEngine(denoiser: StubDenoiser): LocalEngine {
  const status = createWatched(denoiser.status);
  const catalog = createWatched(denoiser.catalog);
  const unasked = () => Promise.reject(new Error('not asked for'));
  let cancelled: 'interrupt' | 'skip' | null = null;
  let tail: Promise<unknown> = Promise.resolve();

  async function run(
    params: GenerationParams,
    { signal, onProgress, onImage }: GenerateOptions,
  ): Promise<GenerationSummary> {
    const { steps, batchSize, batchCount, width, height, prompt, negativePrompt } = params;
    const count = batchSize * batchCount;
    denoiser.onBegin?.(params.seed);
    cancelled = null;
    status.set({ ...denoiser.status, state: 'busy' });
    try {
      for (let index = 0; index < count && cancelled !== 'interrupt'; index += 1) {
        for (let step = 1; step <= steps && cancelled === null; step += 1) {
          signal?.throwIfAborted();
          if (denoiser.stepMs) await new Promise((resolve) => setTimeout(resolve, denoiser.stepMs));
          onProgress?.({
            ...{ stage: 'sampling', imageIndex: index, imageCount: count, step, steps },
            ...{ fraction: (index + step / steps) / count, etaSeconds: 0, message: '' },
          });
        }
        if (cancelled === 'skip') {
          cancelled = null;
          continue;
        }
        const seed = params.seed + index;
        const infotext = `${prompt}\nSteps: ${steps}, Seed: ${seed}`;
        const bytes = new Uint8Array(denoiser.picture(seed, infotext));
        onImage?.({
          ...{ index, format: 'png', bytes, infotext, prompt, negativePrompt },
          ...{ seed, subseed: 0, width: 8, height: 8 },
        });
      }
      return { ...denoiser.summary, interrupted: cancelled === 'interrupt', width, height };
    } finally {
      status.set(denoiser.status);
    }
  }

  return {
    onStatus: status.watch,
    onCatalog: catalog.watch,
    loadCheckpoint: async () => {},
    unloadCheckpoint: async () => {},
    refreshModels: async () => {},
    addFiles: unasked,
    forgetFiles: unasked,
    lockedFiles: async () => [],
    exportCompiled: unasked,
    importCompiled: unasked,
    listCompiled: async () => [],
    deleteCompiled: unasked,
    deleteAllCompiled: unasked,
    storageEstimate: async () => null,
    countTokens: async (prompts) => prompts.map(() => null),
    generate: (params, options = {}) => {
      const running = tail.then(() => run(params, options));
      tail = running.catch(() => {});
      return running;
    },
    skip: () => {
      cancelled = 'skip';
    },
    interrupt: () => {
      cancelled = 'interrupt';
    },
    close: async () => {},
    activate: async () => {},
    setWaiting: (message) =>
      status.set({
        ...denoiser.status,
        ...(message === null ? {} : { state: 'waiting', message }),
      }),
  };
}
