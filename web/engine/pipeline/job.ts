import type { ByproductKind } from '../../../protocol/byproducts.ts';
import type { GenerationParams } from '../../../protocol/generation.ts';
import type { InfotextInput } from '../../../protocol/infotext-values.ts';
import type { GeneratedImage, GenerationProgress } from '../../shared/engine.ts';
import type { ControlnetUse } from '../control/controlnets.ts';
import type { DiffusionModel } from '../diffusion-model.ts';
import type { Pixels } from '../images/pixels.ts';
import type { RgbaPixels } from '../images/rgba.ts';
import type { DecodeImage } from '../init-latents.ts';
import type { UsedNetwork } from '../prompt/infotext-params.ts';
import type { FindNetwork } from '../upscaling/enlarge.ts';

/** How a running job is watched and steered from outside. */
export interface JobControl {
  readonly signal?: AbortSignal | undefined;
  /** True once the job is to end with what exists. */
  readonly isInterrupted: () => boolean;
  /** True once the batch being made is to be dropped; `beginBatch` forgets it. */
  readonly isSkipped: () => boolean;
  readonly beginBatch: () => void;
  readonly onProgress?: ((progress: GenerationProgress) => void) | undefined;
  readonly onImage?: ((image: GeneratedImage) => void) | undefined;
  /** Given a small picture every `previewEverySteps`; the run waits for it. */
  readonly onPreview?: ((pixels: Pixels) => Promise<void>) | undefined;
}

export interface PipelineJob {
  readonly params: GenerationParams;
  readonly model: DiffusionModel;
  /** LoRAs in the model's weights, as infotexts name them. */
  readonly loras?: readonly UsedNetwork[];
  /** Short hash of a textual inversion by its name. */
  readonly embeddingHash?: (name: string) => string;
  readonly control: JobControl;
  /** ControlNets of the job's units. */
  readonly controlnets?: readonly ControlnetUse[];
  /**
   * Loads a checkpoint of the job with the networks of the pass's prompt, and the one before leaves; needed where a job
   * has more than one of them.
   */
  readonly loadPass?: (pass: PassName, prompts: PassOfPrompts) => Promise<PassCheckpoint>;
  /** What stands in for the VAE, as infotexts name it. */
  readonly vaeStandIns?: VaeStandIns;
  readonly decodeImage: DecodeImage;
  /** Networks that enlarge pictures between two passes; the plain filters need none. */
  readonly findUpscaler?: FindNetwork;
  /** The finished file of one picture, infotext inside. */
  readonly finishImage: (picture: FinishedPicture) => Promise<GeneratedImage>;
}

/** Which checkpoint of a job: the one it begins with, the second pass's own, the refiner. */
export type PassName = 'first' | 'second' | 'refiner';

/** Whose prompts: a second pass may have its own. */
export type PassOfPrompts = Exclude<PassName, 'refiner'>;

/** A checkpoint with what works beside it. */
export interface PassCheckpoint {
  readonly model: DiffusionModel;
  /** LoRAs in its weights, as infotexts name them. */
  readonly loras?: readonly UsedNetwork[];
  readonly controlnets: readonly ControlnetUse[];
  /** As infotexts name it: `name [hash]`. */
  readonly title: string;
}

/** Whether pictures are decoded and encoded by a TAESD. */
export interface VaeStandIns {
  readonly decodes: boolean;
  readonly encodes: boolean;
}

/** One decoded picture and what its infotext says of it. */
export interface FinishedPicture {
  readonly index: number;
  readonly pixels: Pixels;
  readonly seed: number;
  readonly subseed: number;
  /** Infotext keys beyond the fixed ones. */
  readonly extraParams: Readonly<Record<string, InfotextInput>>;
  /** Sentences about what was done otherwise than asked for. */
  readonly notes: readonly string[];
  /** Those that the job asks for. */
  readonly byproducts: readonly ByproductPixels[];
}

/** A picture that came about on the way; `module` is the preprocessor of a control map. */
export interface ByproductPixels {
  readonly kind: ByproductKind;
  readonly module: string;
  readonly pixels: Pixels | RgbaPixels;
}

export interface PipelineResult {
  readonly width: number;
  readonly height: number;
  readonly interrupted: boolean;
  readonly extraParams: Readonly<Record<string, InfotextInput>>;
  readonly notes: readonly string[];
  readonly seconds: StageSeconds;
}

/** Where a job's time went. */
export interface StageSeconds {
  encode: number;
  sample: number;
  decode: number;
}
