import { GenerationError } from '../../../protocol/errors.ts';
import type { GenerationParams, UpscaleParams } from '../../../protocol/generation.ts';
import type { GenerationSummary } from '../../../protocol/job.ts';
import type { GenerateOptions } from '../../shared/engine.ts';
import type { EngineAccess } from '../browser-access.ts';
import type { Pixels } from '../images/pixels.ts';
import { dropAlpha } from '../images/rgba.ts';
import { blendPixels, cropMiddle } from './enlarge.ts';
import type { Upscalers } from './upscalers.ts';

export interface UpscaleHost {
  readonly access: Pick<EngineAccess, 'decodeImage' | 'encodeImage'>;
  readonly upscalers: Pick<Upscalers, 'upscale'>;
}

/** A1111's extras: a picture enlarged by one upscaler, or by two that are blended. */
export async function runUpscaleJob(
  params: GenerationParams,
  options: GenerateOptions,
  isInterrupted: () => boolean,
  host: UpscaleHost,
): Promise<GenerationSummary> {
  const startedAt = performance.now();
  const { upscale } = params;
  const [encoded] = params.initImages;
  if (!upscale || encoded === undefined) {
    throw new GenerationError('invalid-request', 'There is no picture to enlarge.');
  }
  const source = dropAlpha(await host.access.decodeImage(encoded, 'The picture'));
  const { signal } = options;
  const by = (name: string) => (pixels: Pixels, factor: number) =>
    host.upscalers.upscale(pixels, name, factor, {
      signal,
      check() {
        if (isInterrupted()) throw new GenerationError('cancelled', 'Upscaling was interrupted.');
      },
      onTile: (step, steps) =>
        options.onProgress?.({
          ...{ stage: 'sampling', imageIndex: 0, imageCount: 1, step, steps },
          ...{ fraction: step / steps, etaSeconds: null },
          message: `Upscaling with ${name}, tile ${step} of ${steps}`,
        }),
    });
  const { pixels, infotext } = await upscalePicture(source, upscale, by);
  const bytes = await host.access.encodeImage(pixels, params.outputFormat, '', params);
  const { width, height } = pixels;
  options.onImage?.({
    ...{ index: 0, format: params.outputFormat, bytes, infotext: '', width, height },
    ...{ prompt: '', negativePrompt: '', seed: 0, subseed: 0 },
  });
  return {
    ...{ interrupted: false, width, height, checkpoint: '', checkpointHash: null, clipSkip: 1 },
    extraParams: infotext,
    notes: [...params.notes],
    timings: {
      ...{ totalSeconds: (performance.now() - startedAt) / 1000, loadSeconds: 0 },
      ...{ encodeSeconds: 0, sampleSeconds: 0, decodeSeconds: 0, runSeconds: 0 },
      ...{ readBacks: 0, uploads: 0, uploadedBytes: 0 },
    },
  };
}

type Enlarge = (name: string) => (pixels: Pixels, factor: number) => Promise<Pixels>;

/** The picture, and A1111's words on what was done to it, in its order. */
export async function upscalePicture(
  source: Pixels,
  params: UpscaleParams,
  by: Enlarge,
): Promise<{ pixels: Pixels; infotext: Record<string, string | number> }> {
  const { width, height, isCropped, upscaler, secondUpscaler, secondVisibility } = params;
  const isToSize = width > 0 && height > 0;
  const factor = isToSize ? Math.max(width / source.width, height / source.height) : params.scale;
  const infotext: Record<string, string | number> = isToSize
    ? { 'Postprocess upscale to': `${width}x${height}` }
    : { 'Postprocess upscale by': factor };
  const make = async (name: string) => {
    const enlarged = await by(name)(source, factor);
    return isToSize && isCropped ? cropMiddle(enlarged, width, height) : enlarged;
  };
  let pixels = await make(upscaler);
  if (isToSize && isCropped) infotext['Postprocess crop to'] = `${width}x${height}`;
  infotext['Postprocess upscaler'] = upscaler;
  if (secondUpscaler !== null && secondVisibility > 0) {
    pixels = blendPixels(pixels, await make(secondUpscaler), secondVisibility);
    infotext['Postprocess upscaler 2'] = secondUpscaler;
  }
  return { pixels, infotext };
}
