import { Hono } from 'hono';
import type { z } from 'zod';
import { UPSCALER_NAMES } from './catalog-routes.ts';
import { ApiError } from './errors.ts';
import { readImage } from './image-input.ts';
import { jsonBody } from './json-body.ts';
import { readPngInfo } from './png-info.ts';
import {
  extrasBatchImagesRequest,
  extrasSingleImageRequest,
  interrogateRequest,
  pngInfoRequest,
} from './schemas.ts';

type ExtrasRequest = Omit<z.output<typeof extrasSingleImageRequest>, 'image'>;

/** A1111's note on what was done, for a page: nothing was. */
const NOTHING_DONE = '<p></p>';

/** Throws unless the request asks for nothing that has to be computed: that is done in a tab, and not yet. */
function checkExtras(request: ExtrasRequest): void {
  for (const name of [request.upscaler_1, request.upscaler_2]) {
    if (name !== '' && !UPSCALER_NAMES.includes(name)) {
      throw new ApiError(422, `could not find upscaler named ${name.slice(0, 200)}`);
    }
  }
  const isUpscaling = request.upscaler_1 !== 'None' && request.upscaler_1 !== '';
  if (isUpscaling) {
    throw new ApiError(
      501,
      'This version does not upscale pictures; the upscaler None is accepted.',
    );
  }
  if (request.gfpgan_visibility > 0 || request.codeformer_visibility > 0) {
    throw new ApiError(501, 'Easel has no face restoration; leave both visibilities at 0.');
  }
}

/** Routes that take finished pictures: their texts, upscaling, captions. */
export function imageRoutes(): Hono {
  const app = new Hono();

  app.post('/sdapi/v1/png-info', async (c) => {
    const { image } = await jsonBody(c, pngInfoRequest);
    return c.json(await readPngInfo(image));
  });

  app.post('/sdapi/v1/extra-single-image', async (c) => {
    const { image, ...request } = await jsonBody(c, extrasSingleImageRequest);
    const { bytes } = readImage(image);
    checkExtras(request);
    return c.json({ html_info: NOTHING_DONE, image: bytes.toString('base64') });
  });

  app.post('/sdapi/v1/extra-batch-images', async (c) => {
    const { imageList, ...request } = await jsonBody(c, extrasBatchImagesRequest);
    const images = imageList.map(({ data }) => readImage(data).bytes.toString('base64'));
    checkExtras(request);
    return c.json({ html_info: NOTHING_DONE, images });
  });

  app.post('/sdapi/v1/interrogate', async (c) => {
    const { image, model } = await jsonBody(c, interrogateRequest);
    if (!['clip', 'deepdanbooru', 'deepbooru'].includes(model)) {
      throw new ApiError(404, 'Model not found');
    }
    readImage(image);
    throw new ApiError(501, 'No captioner is loaded: Easel cannot describe pictures.');
  });
  return app;
}
