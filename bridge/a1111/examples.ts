/** A grey ramp of 64 × 64 pixels, a whole PNG as base64. */
const PICTURE =
  'iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAcklEQVR42mNgYOHgERCRkFFQ0dAxMLGwcXDx8AkIiY' +
  'hJSMnIKSipqGlo6eiZMGXGnAVLVqzZsGXHngNHTpy5cOXGnQdPXrz58OXHH4ZRA0YNGDVg1IBRA0YNGDVg1IBRA0YN' +
  'GDVg1IBRA0YNGDVguBsAAHs24GqR2oMfAAAAAElFTkSuQmCC';

const small = { width: 128, height: 128, steps: 2, seed: 1 };
const shark = { ...small, prompt: 'a red apple', sampler_name: 'k_euler' };

/** Bodies that work as they are, for /openapi.json: readers try them out, and fuzzers start from them. */
export const EXAMPLES: Readonly<Record<string, object>> = {
  '/sdapi/v1/txt2img': { ...small, prompt: 'a red apple, 3d', cfg_scale: 5 },
  '/sdapi/v1/img2img': {
    ...small,
    prompt: 'a red apple, 3d',
    init_images: [PICTURE],
    mask: PICTURE,
    denoising_strength: 0.6,
  },
  '/sdapi/v1/inpaint': { ...shark, image: PICTURE, mask: PICTURE },
  '/sdapi/v1/outpaint': { ...shark, init_images: [PICTURE], directions: ['left'], pixels: 64 },
  '/sdapi/v1/upscaler': { ...shark, init_images: [PICTURE], noise_level: 20 },
  '/sdapi/v1/extra-single-image': { image: PICTURE, upscaler_1: 'Lanczos', upscaling_resize: 2 },
  '/sdapi/v1/extra-batch-images': {
    imageList: [{ data: PICTURE, name: 'one.png' }],
    upscaler_1: 'Nearest',
  },
  '/sdapi/v1/png-info': { image: PICTURE },
  '/sdapi/v1/interrogate': { image: PICTURE, model: 'clip' },
  '/sdapi/v1/options': { jpeg_quality: 80 },
  '/internal/progress': { id_task: 'task(1)' },
};
