import { GenerationError } from '../../../protocol/errors.ts';
import type { GenerationParams } from '../../../protocol/generation.ts';
import type { GenerationSummary } from '../../../protocol/job.ts';
import type { GenerateOptions } from '../../shared/engine.ts';
import type { EngineAccess } from '../browser-access.ts';
import { flatten } from '../images/rgba.ts';
import { preprocess } from './preprocess.ts';

/** Makes the map of a unit alone, at the size its preprocessor gives it: no checkpoint is asked for. */
export async function runPreprocessJob(
  { controls, outputFormat, notes }: GenerationParams,
  options: GenerateOptions,
  { access }: { readonly access: Pick<EngineAccess, 'decodeImage' | 'encodeImage'> },
): Promise<GenerationSummary> {
  const startedAt = performance.now();
  const [unit] = controls;
  if (!unit || unit.image === null) {
    throw new GenerationError('invalid-request', 'There is no picture to preprocess.');
  }
  const decoded = await access.decodeImage(unit.image, 'The picture');
  options.signal?.throwIfAborted();
  const pixels = preprocess(flatten(decoded, '#ffffff'), unit);
  const bytes = await access.encodeImage(pixels, outputFormat, '');
  const { width, height } = pixels;
  options.onImage?.({
    ...{ index: 0, format: outputFormat, bytes, infotext: '', width, height },
    ...{ prompt: '', negativePrompt: '', seed: 0, subseed: 0 },
  });
  return {
    ...{ interrupted: false, width, height, checkpoint: '', checkpointHash: null, clipSkip: 1 },
    ...{ extraParams: {}, notes: [...notes] },
    timings: {
      ...{ totalSeconds: (performance.now() - startedAt) / 1000, loadSeconds: 0 },
      ...{ encodeSeconds: 0, sampleSeconds: 0, decodeSeconds: 0, runSeconds: 0 },
      ...{ readBacks: 0, uploads: 0, uploadedBytes: 0 },
    },
  };
}
