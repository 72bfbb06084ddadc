import type { ModelDescription } from '../compiler/model.ts';
import type { Companion } from './models/companions.ts';
import type { ConditioningPlan, ConditioningRequest, EncodeGroup } from './prompt/plan.ts';
import type { LatentMath } from './sampling/latent-math.ts';

/** One text as the UNet sees it. */
export interface TextContext {
  readonly tokens: number;
  /** [tokens, channels]. */
  readonly values: Float32Array;
  /** SDXL's pooled and projected text, null for models without. */
  readonly textEmbeds: Float32Array | null;
  /** Of a negative prompt. */
  readonly isNegative?: boolean;
}

/** Latents of one batch. */
export interface BatchShape {
  readonly pictures: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** A batch with what a UNet made for inpainting sees beside the latents. */
export interface BatchChannels extends BatchShape {
  /** [pictures, 1 + channels, height, width]: the mask, and the latents of the picture without what it masks. */
  readonly inpaintChannels?: Float32Array | null;
}

/** What is known of a batch before it is sampled, so that one UNet serves all of its calls. */
export interface LatentsRequest extends BatchChannels {
  /** Every text that the batch may be guided by. */
  readonly contexts: readonly TextContext[];
  /** For UNets that take the guidance scale as an input (latent consistency models). */
  readonly guidanceScale: number;
  /** For UNets that are told of a crop (SDXL): its upper left corner in pixels; the picture's own where left out. */
  readonly crop?: { readonly top: number; readonly left: number };
  /** For SDXL's refiner: how good the picture is said to be under a prompt and under a negative prompt, 0 to 10. */
  readonly aestheticScores?: { readonly positive: number; readonly negative: number };
  /** ControlNets that calls may give a share. */
  readonly controls?: readonly BatchControl[];
}

/** A ControlNet and the picture that it keeps to. */
export interface BatchControl {
  readonly net: Companion;
  /** f32 [3, height, width] in 0..1, of the batch's size in pixels. */
  readonly picture: Float32Array;
}

/** What a ControlNet has to say in one call. */
export interface ControlShare {
  /** Its place among the request's. */
  readonly control: number;
  readonly strength: number;
  /** Shallow residuals count less than deep ones. */
  readonly isSoft: boolean;
  /** Place of a text among the call's that it does not touch; null touches all. */
  readonly exempt: number | null;
}

/** One call of the UNet for every picture of a batch under each of several texts. */
export interface UnetCall {
  /** What the latents are multiplied by on their way in. */
  readonly inputScale: number;
  readonly timestep: number;
  /** At least one; texts of one length share a run. */
  readonly contexts: readonly TextContext[];
  /**
   * The sums wanted: for each list, its first number times the latents plus its others times the
   * UNet's answers under the contexts, in order.
   */
  readonly mixes: readonly (readonly number[])[];
  /** None: the UNet answers alone. */
  readonly controls?: readonly ControlShare[];
}

/** A small picture of latents on their way. */
export interface Sketch {
  /** f32 [3, height, width], about -1..1. */
  readonly image: Float32Array;
  readonly width: number;
  readonly height: number;
  /** What it took, without the work that was under way before. */
  readonly milliseconds: number;
}

/** Where a batch's latents live while they are sampled; all of it is released when the batch is done. */
export interface LatentSpace<T> {
  readonly math: LatentMath<T>;
  /** Asks the UNet; one result a mix. */
  predict(x: T, call: UnetCall): Promise<T[]>;
  /** Opens `x` · share + known, value by value; both are of the batch's shape. */
  createBlend(share: Float32Array, known: Float32Array): (x: T) => Promise<T>;
  /** Called once a step: waits until the device is at most one step behind. */
  pace(): Promise<void>;
  /** Picture `index` of the batch: f32 [3, height, width], about -1..1. */
  decode(latents: T, index: number): Promise<Float32Array>;
  /** The first picture, small, by a TAESD; null where there is none for these latents, or the picture is too large for it. */
  readonly sketch: ((latents: T) => Promise<Sketch>) | null;
}

/** A checkpoint in memory, as the pipeline sees it: tests put their own in its place. */
export interface DiffusionModel {
  readonly description: ModelDescription;
  /** Which texts are to be encoded for a job, by the checkpoint's tokenizers. */
  planPrompts(request: Omit<ConditioningRequest, 'tokenizers'>): ConditioningPlan;
  /** One context for every text of the group. */
  encodeTexts(group: EncodeGroup, clipSkip: number): Promise<readonly TextContext[]>;
  /** A picture, f32 [3, height, width] in -1..1, as latents on the sampler's scale. */
  encodeImage(image: Float32Array, height: number, width: number): Promise<Float32Array>;
  /** Opens the latents of one batch for as long as `use` runs. */
  withLatents<R>(
    request: LatentsRequest,
    use: <T>(space: LatentSpace<T>) => Promise<R>,
  ): Promise<R>;
}
