import { z } from 'zod';
import * as reply from './response-schemas.ts';
import * as request from './schemas.ts';
import * as shark from './shark-schemas.ts';
import { NOT_IMPLEMENTED } from './system-routes.ts';

/** One route as /openapi.json documents it. */
export interface Operation {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly summary: string;
  readonly request?: z.ZodType;
  /** Body of the 200 reply; absent for routes that answer 501. */
  readonly response?: z.ZodType;
  readonly query?: readonly { readonly name: string; readonly description: string }[];
  /** A generation: may wait for a tab, and may be refused while there is none. */
  readonly isGeneration?: boolean;
  /** Answers 501 to a part of what A1111 does there. */
  readonly isPartial?: boolean;
  /** A1111's own words for 404. */
  readonly notFound?: string;
}

const nothing = z.null();
const empty = z.object({});
const anything = z.unknown();

function get(path: string, summary: string, response: z.ZodType): Operation {
  return { method: 'GET', path, summary, response };
}

function post(
  path: string,
  summary: string,
  response: z.ZodType,
  body?: z.ZodType,
  more: Partial<Operation> = {},
): Operation {
  return { method: 'POST', path, summary, response, ...(body ? { request: body } : {}), ...more };
}

const sd = (name: string) => `/sdapi/v1/${name}`;
const generation = { isGeneration: true };
const redraw = { isGeneration: true, notFound: 'Init image not found' };
const partly = { isPartial: true, isGeneration: true };

/** Every route of this folder; a test keeps it equal to the router's own list. */
export const OPERATIONS: readonly Operation[] = [
  post(
    sd('txt2img'),
    'Pictures from a prompt',
    reply.textToImageResponse,
    request.txt2imgRequest,
    generation,
  ),
  post(
    sd('img2img'),
    'Pictures from a picture and a prompt',
    reply.imageToImageResponse,
    request.img2imgRequest,
    redraw,
  ),
  post(
    sd('inpaint'),
    'SHARK’s: a part of a picture made anew, as img2img with a mask',
    reply.imageToImageResponse,
    shark.sharkInpaintRequest,
    generation,
  ),
  post(
    sd('outpaint'),
    'SHARK’s: a picture continued beyond its edges, as the script Outpainting mk2',
    reply.imageToImageResponse,
    shark.sharkOutpaintRequest,
    redraw,
  ),
  post(
    sd('upscaler'),
    'SHARK’s: a picture four times as large, by the first upscaler file or Lanczos; the prompt has no effect',
    reply.imageToImageResponse,
    shark.sharkUpscalerRequest,
    redraw,
  ),
  post(sd('png-info'), 'Texts of a picture', reply.pngInfoResponse, request.pngInfoRequest),
  post(
    sd('extra-single-image'),
    'Upscale a picture; it is done in a tab. Face restoration is 501',
    reply.extrasSingleImageResponse,
    request.extrasSingleImageRequest,
    partly,
  ),
  post(
    sd('extra-batch-images'),
    'Upscale pictures; it is done in a tab. Face restoration is 501',
    reply.extrasBatchImagesResponse,
    request.extrasBatchImagesRequest,
    partly,
  ),
  {
    method: 'POST',
    path: sd('interrogate'),
    summary: 'Describe a picture: no captioner is loaded.',
    request: request.interrogateRequest,
    notFound: 'Model not found',
  },
  {
    ...get(sd('progress'), 'How far the running job is', reply.progressResponse),
    query: [{ name: 'skip_current_image', description: 'true: no preview' }],
  },
  post(sd('interrupt'), 'End the running job with what exists', empty),
  post(sd('skip'), 'Drop the picture being made', nothing),
  get(sd('options'), 'Every option with its value', reply.options),
  post(sd('options'), 'Change options', nothing, request.optionsRequest),
  post(sd('unload-checkpoint'), 'Give the graphics memory back', empty),
  post(sd('reload-checkpoint'), 'Load the checkpoint again', empty),
  post(sd('refresh-checkpoints'), 'Read the folders again', nothing),
  post(sd('refresh-vae'), 'Read the folders again', nothing),
  post(sd('refresh-loras'), 'Read the folders again', nothing),
  post(sd('refresh-embeddings'), 'Read the folders again', nothing),
  get(sd('sd-models'), 'Checkpoints', z.array(reply.sdModelItem)),
  get(sd('samplers'), 'Samplers', z.array(reply.samplerItem)),
  get(sd('schedulers'), 'Schedulers', z.array(reply.schedulerItem)),
  get(sd('upscalers'), 'Upscalers', z.array(reply.upscalerItem)),
  get(sd('latent-upscale-modes'), 'Latent upscalers', z.array(reply.latentUpscalerModeItem)),
  get(sd('sd-vae'), 'VAEs', z.array(reply.sdVaeItem)),
  get(sd('sd-modules'), 'VAEs, by the name that Forge gives the list', z.array(reply.sdVaeItem)),
  get(sd('loras'), 'LoRAs', z.array(reply.loraItem)),
  get(sd('embeddings'), 'Textual inversions', reply.embeddingsResponse),
  get(sd('hypernetworks'), 'Hypernetworks: none', z.array(reply.hypernetworkItem)),
  get(sd('face-restorers'), 'Face restorers: none', z.array(reply.faceRestorerItem)),
  get(sd('realesrgan-models'), 'RealESRGAN models: none', z.array(reply.realesrganItem)),
  get(sd('prompt-styles'), 'Styles', z.array(reply.promptStyleItem)),
  get(sd('scripts'), 'Scripts', reply.scriptsList),
  get(sd('script-info'), 'Scripts with their arguments', z.array(reply.scriptInfo)),
  get(sd('extensions'), 'Extensions: none', z.array(reply.extensionItem)),
  get('/controlnet/model_list', 'ControlNet models', z.object({ model_list: z.array(z.string()) })),
  get(
    '/controlnet/module_list',
    'ControlNet preprocessors',
    z.object({
      module_list: z.array(z.string()),
      module_detail: z.record(z.string(), z.unknown()),
    }),
  ),
  get('/controlnet/version', 'Version of this API', z.object({ version: z.int() })),
  get(
    '/controlnet/settings',
    'How many ControlNet units a request may have',
    z.object({ control_net_unit_count: z.int() }),
  ),
  get(
    '/controlnet/control_types',
    'Preprocessors and models by what they control',
    z.object({ control_types: z.record(z.string(), anything) }),
  ),
  post(
    '/controlnet/detect',
    'What a ControlNet preprocessor makes of pictures; it is done in a tab',
    z.object({ images: z.array(z.string()), info: z.string() }),
    request.controlnetDetectRequest,
    generation,
  ),
  get('/config', 'Two menus out of Gradio’s configuration', anything),
  get(sd('memory'), 'Memory of the bridge', reply.memoryResponse),
  get(sd('cmd-flags'), 'Command line, without secrets', reply.flags),
  get(sd('version'), 'Name and version', z.object({ app: z.string(), version: z.string() })),
  get('/internal/ping', 'Whether the bridge answers', empty),
  get(sd('internal/ping'), 'Whether the bridge answers', empty),
  get('/user', 'Gradio’s user: none', nothing),
  get('/internal/sysinfo', 'What the bridge runs on, without secrets', anything),
  get('/internal/sysinfo-download', 'The same, to be saved', anything),
  get(
    '/internal/quicksettings-hint',
    'Names of the options',
    z.array(z.object({ name: z.string(), label: z.string() })),
  ),
  get('/internal/profile-startup', 'How long the start took: not measured', anything),
  {
    ...get(
      '/sd_extra_networks/metadata',
      'What a LoRA’s, a checkpoint’s or an embedding’s file says of itself',
      z.object({ metadata: z.string().optional() }),
    ),
    query: [
      { name: 'page', description: '`lora`, `checkpoints` or `textual inversion`' },
      { name: 'item', description: 'Name, as in its list' },
    ],
  },
  post(
    '/internal/progress',
    'How far one task is',
    reply.internalProgressResponse,
    request.internalProgressRequest,
  ),
  get(
    '/internal/pending-tasks',
    'Tasks that wait',
    z.object({ size: z.int(), tasks: z.array(z.string()) }),
  ),
  get('/queue/status', 'How long the queue is, as Gradio tells it', anything),
  ...Object.entries(NOT_IMPLEMENTED).map(
    ([path, summary]): Operation => ({ method: 'POST', path, summary }),
  ),
];
