import { formatPythonFloat, type InfotextInput, isFloatLabel } from './infotext-values.ts';

/** What `info` of an A1111 reply holds, in our names. */
export interface GenerationInfo {
  readonly prompts: readonly string[];
  readonly negativePrompts: readonly string[];
  readonly seeds: readonly number[];
  readonly subseeds: readonly number[];
  readonly subseedStrength: number;
  readonly width: number;
  readonly height: number;
  readonly sampler: string;
  readonly guidanceScale: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly restoreFaces: boolean;
  readonly faceRestorationModel: string | null;
  readonly model: string | null;
  readonly modelHash: string | null;
  readonly vae: string | null;
  readonly vaeHash: string | null;
  /** -1 where it is off, as A1111 has it. */
  readonly seedResizeFromWidth: number;
  readonly seedResizeFromHeight: number;
  readonly denoisingStrength: number | null;
  /** Infotext keys beyond the fixed ones; null for values that differ from picture to picture. */
  readonly extraParams: Readonly<Record<string, InfotextInput>>;
  /** 1 where a grid comes first. */
  readonly indexOfFirstImage: number;
  readonly infotexts: readonly string[];
  readonly styles: readonly string[];
  /** 14 digits: year to second. */
  readonly jobTimestamp: string;
  readonly clipSkip: number;
  readonly isUsingInpaintingConditioning: boolean;
  readonly version: string;
  /** Easel's own: a picture that was to be saved could not be; told by `saved: false`. */
  readonly isUnsaved?: boolean;
}

/**
 * The JSON text of an A1111 reply's `info`: keys in A1111's order, numbers as Python writes them (`7.0` where a field
 * is a float), everything beyond ASCII escaped.
 */
export function formatGenerationInfo(info: GenerationInfo): string {
  const fields: [string, string][] = [
    ['prompt', json(info.prompts[0] ?? '')],
    ['all_prompts', jsonList(info.prompts)],
    ['negative_prompt', json(info.negativePrompts[0] ?? '')],
    ['all_negative_prompts', jsonList(info.negativePrompts)],
    ['seed', json(info.seeds[0] ?? 0)],
    ['all_seeds', jsonList(info.seeds)],
    ['subseed', json(info.subseeds[0] ?? 0)],
    ['all_subseeds', jsonList(info.subseeds)],
    // The default is the integer 0; whatever a client sends is a float.
    ['subseed_strength', info.subseedStrength === 0 ? '0' : jsonFloat(info.subseedStrength)],
    ['width', json(info.width)],
    ['height', json(info.height)],
    ['sampler_name', json(info.sampler)],
    ['cfg_scale', jsonFloat(info.guidanceScale)],
    ['steps', json(info.steps)],
    ['batch_size', json(info.batchSize)],
    ['restore_faces', json(info.restoreFaces)],
    ['face_restoration_model', json(info.faceRestorationModel)],
    ['sd_model_name', json(info.model)],
    ['sd_model_hash', json(info.modelHash)],
    ['sd_vae_name', json(info.vae)],
    ['sd_vae_hash', json(info.vaeHash)],
    ['seed_resize_from_w', json(info.seedResizeFromWidth)],
    ['seed_resize_from_h', json(info.seedResizeFromHeight)],
    [
      'denoising_strength',
      info.denoisingStrength === null ? 'null' : jsonFloat(info.denoisingStrength),
    ],
    ['extra_generation_params', jsonExtraParams(info.extraParams)],
    ['index_of_first_image', json(info.indexOfFirstImage)],
    ['infotexts', jsonList(info.infotexts)],
    ['styles', jsonList(info.styles)],
    ['job_timestamp', json(info.jobTimestamp)],
    ['clip_skip', json(info.clipSkip)],
    ['is_using_inpainting_conditioning', json(info.isUsingInpaintingConditioning)],
    ['version', json(info.version)],
    ...(info.isUnsaved ? [['saved', 'false'] as [string, string]] : []),
  ];
  return jsonObject(fields);
}

function jsonExtraParams(extraParams: GenerationInfo['extraParams']): string {
  return jsonObject(
    Object.entries(extraParams).map(([label, value]) => [
      label,
      typeof value === 'number' && isFloatLabel(label) ? jsonFloat(value) : json(value),
    ]),
  );
}

function json(value: InfotextInput): string {
  return JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function jsonFloat(value: number): string {
  return formatPythonFloat(value);
}

function jsonList(values: readonly InfotextInput[]): string {
  return `[${values.map(json).join(', ')}]`;
}

function jsonObject(fields: readonly (readonly [string, string])[]): string {
  return `{${fields.map(([key, text]) => `${json(key)}: ${text}`).join(', ')}}`;
}
