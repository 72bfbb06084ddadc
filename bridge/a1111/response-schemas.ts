import { z } from 'zod';

/**
 * Reply bodies, named as A1111's OpenAPI components. Replies are not parsed on the way out; these schemas make
 * /openapi.json, and the tests hold every reply against them.
 */

const base64 = z.string().meta({ description: 'base64 of a file, without a `data:` prefix' });
const anyObject = z.record(z.string(), z.unknown());

export const textToImageResponse = z
  .object({
    images: z.array(base64),
    parameters: anyObject,
    info: z.string().meta({ description: 'JSON in a string' }),
  })
  .meta({ id: 'TextToImageResponse' });
export const imageToImageResponse = z
  .object(textToImageResponse.shape)
  .meta({ id: 'ImageToImageResponse' });

export const progressResponse = z
  .object({
    progress: z.number().min(0).max(1),
    eta_relative: z.number().min(0),
    state: z.object({
      skipped: z.boolean(),
      interrupted: z.boolean(),
      stopping_generation: z.boolean(),
      job: z.string(),
      job_count: z.int(),
      job_timestamp: z.string(),
      job_no: z.int(),
      sampling_step: z.int(),
      sampling_steps: z.int(),
    }),
    current_image: base64.nullable(),
    textinfo: z.string().nullable(),
  })
  .meta({ id: 'ProgressResponse' });

export const options = anyObject.meta({ id: 'Options' });
export const flags = anyObject.meta({ id: 'Flags' });

export const samplerItem = z
  .object({
    name: z.string(),
    aliases: z.array(z.string()),
    options: z.record(z.string(), z.string()),
  })
  .meta({ id: 'SamplerItem' });

export const schedulerItem = z
  .object({
    name: z.string(),
    label: z.string(),
    aliases: z.array(z.string()).nullable(),
    default_rho: z.number().nullable(),
    need_inner_model: z.boolean().nullable(),
  })
  .meta({ id: 'SchedulerItem' });

export const upscalerItem = z
  .object({
    name: z.string(),
    model_name: z.string().nullable(),
    model_path: z.string().nullable(),
    model_url: z.string().nullable(),
    scale: z.number().nullable(),
  })
  .meta({ id: 'UpscalerItem' });

export const latentUpscalerModeItem = z
  .object({ name: z.string() })
  .meta({ id: 'LatentUpscalerModeItem' });

export const sdModelItem = z
  .object({
    title: z.string(),
    model_name: z.string(),
    hash: z.string().nullable(),
    sha256: z.string().nullable(),
    filename: z.string(),
    config: z.string().nullable(),
  })
  .meta({ id: 'SDModelItem' });

export const sdVaeItem = z
  .object({ model_name: z.string(), filename: z.string() })
  .meta({ id: 'SDVaeItem' });

export const hypernetworkItem = z
  .object({ name: z.string(), path: z.string().nullable() })
  .meta({ id: 'HypernetworkItem' });

export const faceRestorerItem = z
  .object({ name: z.string(), cmd_dir: z.string().nullable() })
  .meta({ id: 'FaceRestorerItem' });

export const realesrganItem = z
  .object({ name: z.string(), path: z.string().nullable(), scale: z.int().nullable() })
  .meta({ id: 'RealesrganItem' });

export const promptStyleItem = z
  .object({
    name: z.string(),
    prompt: z.string().nullable(),
    negative_prompt: z.string().nullable(),
  })
  .meta({ id: 'PromptStyleItem' });

export const embeddingItem = z
  .object({
    step: z.int().nullable(),
    sd_checkpoint: z.string().nullable(),
    sd_checkpoint_name: z.string().nullable(),
    shape: z.int(),
    vectors: z.int(),
  })
  .meta({ id: 'EmbeddingItem' });

export const embeddingsResponse = z
  .object({
    loaded: z.record(z.string(), embeddingItem),
    skipped: z.record(z.string(), embeddingItem),
  })
  .meta({ id: 'EmbeddingsResponse' });

export const loraItem = z
  .object({ name: z.string(), alias: z.string(), path: z.string(), metadata: anyObject })
  .meta({ id: 'LoraItem' });

export const memoryResponse = z
  .object({ ram: anyObject, cuda: anyObject })
  .meta({ id: 'MemoryResponse' });

export const scriptsList = z
  .object({ txt2img: z.array(z.string()), img2img: z.array(z.string()) })
  .meta({ id: 'ScriptsList' });

export const scriptArg = z
  .object({
    label: z.string(),
    value: z.unknown(),
    minimum: z.unknown(),
    maximum: z.unknown(),
    step: z.unknown(),
    choices: z.unknown(),
  })
  .meta({ id: 'ScriptArg' });

export const scriptInfo = z
  .object({
    name: z.string(),
    is_alwayson: z.boolean(),
    is_img2img: z.boolean(),
    args: z.array(scriptArg),
  })
  .meta({ id: 'ScriptInfo' });

export const extensionItem = z
  .object({
    name: z.string(),
    remote: z.string(),
    branch: z.string(),
    commit_hash: z.string(),
    version: z.string(),
    commit_date: z.string(),
    enabled: z.boolean(),
  })
  .meta({ id: 'ExtensionItem' });

export const extrasSingleImageResponse = z
  .object({ html_info: z.string(), image: base64 })
  .meta({ id: 'ExtrasSingleImageResponse' });

export const extrasBatchImagesResponse = z
  .object({ html_info: z.string(), images: z.array(base64) })
  .meta({ id: 'ExtrasBatchImagesResponse' });

export const pngInfoResponse = z
  .object({ info: z.string(), items: anyObject, parameters: anyObject })
  .meta({ id: 'PNGInfoResponse' });

export const internalProgressResponse = z
  .object({
    active: z.boolean(),
    queued: z.boolean(),
    completed: z.boolean(),
    progress: z.number().nullable(),
    eta: z.number().nullable(),
    live_preview: z.string().nullable(),
    id_live_preview: z.int(),
    textinfo: z.string().nullable(),
  })
  .meta({ id: 'InternalProgressResponse' });

export const validationError = z
  .object({
    loc: z.array(z.union([z.string(), z.int()])),
    msg: z.string(),
    type: z.string(),
    ctx: anyObject.optional(),
  })
  .meta({ id: 'ValidationError' });

export const errorResponse = z
  .object({
    error: z.string(),
    detail: z.string(),
    body: z.string(),
    errors: z.string(),
    message: z.string(),
  })
  .meta({ id: 'ErrorResponse' });

export const httpValidationError = z
  .object({ detail: z.array(validationError), message: z.string() })
  .meta({ id: 'HTTPValidationError' });

/** What 422 looks like: FastAPI's list for a malformed request, A1111's body for one that is refused. */
export const unprocessable = z
  .union([httpValidationError, errorResponse])
  .meta({ id: 'UnprocessableResponse' });
