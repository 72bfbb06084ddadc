import { pictureFileName } from '../../protocol/file-name.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GeneratedImage } from '../shared/engine.ts';
import { randomId } from './random-id.ts';

/** What the page knows of a picture that it made; the file is kept apart. */
export interface PictureInfo {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly infotext: string;
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly sampler: string;
  readonly scheduler: string;
  readonly checkpoint: string | null;
}

/** A picture with its whole file, infotext inside. */
export interface Picture {
  readonly info: PictureInfo;
  readonly file: Blob;
}

const MIME_TYPES = { png: 'image/png', jpg: 'image/jpeg', webp: 'image/webp' } as const;

/** Joins what the engine made with what it was asked for. */
export function toPicture(
  image: GeneratedImage,
  params: GenerationParams,
  { checkpoint, now }: { checkpoint: string | null; now: Date },
): Picture {
  return {
    info: {
      id: randomId(),
      createdAt: now.getTime(),
      fileName: pictureFileName({
        prompt: image.prompt,
        seed: image.seed,
        format: image.format,
        date: now,
      }),
      sizeBytes: image.bytes.byteLength,
      infotext: image.infotext,
      prompt: image.prompt,
      negativePrompt: image.negativePrompt,
      seed: image.seed,
      width: image.width,
      height: image.height,
      steps: params.steps,
      guidanceScale: params.guidanceScale,
      sampler: params.sampler,
      scheduler: params.scheduler,
      checkpoint: params.checkpoint ?? checkpoint,
    },
    file: new Blob([image.bytes], { type: MIME_TYPES[image.format] }),
  };
}
