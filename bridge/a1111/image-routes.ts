import { type Context, Hono } from 'hono';
import type { BridgeServices } from '../services.ts';
import { clientName } from './client-name.ts';
import { ApiError } from './errors.ts';
import { type ExtrasRequest, runExtras } from './extras.ts';
import { readImage } from './image-input.ts';
import { jsonBody } from './json-body.ts';
import { readPngInfo } from './png-info.ts';
import {
  extrasBatchImagesRequest,
  extrasSingleImageRequest,
  interrogateRequest,
  pngInfoRequest,
} from './schemas.ts';
import type { A1111Settings } from './settings.ts';

/** Routes that take finished pictures: their texts, upscaling, captions. */
export function imageRoutes(services: BridgeServices, settings: A1111Settings): Hono {
  const app = new Hono();

  const extras = (c: Context, images: readonly string[], request: ExtrasRequest) =>
    runExtras(images, request, {
      ...{ services, settings, client: clientName(c), signal: c.req.raw.signal },
    });

  app.post('/sdapi/v1/png-info', async (c) => {
    const { image } = await jsonBody(c, pngInfoRequest);
    return c.json(await readPngInfo(image));
  });

  app.post('/sdapi/v1/extra-single-image', async (c) => {
    const { image, ...request } = await jsonBody(c, extrasSingleImageRequest);
    const { html, images } = await extras(c, [image], request);
    return c.json({ html_info: html, image: images[0] });
  });

  app.post('/sdapi/v1/extra-batch-images', async (c) => {
    const { imageList, ...request } = await jsonBody(c, extrasBatchImagesRequest);
    const sent = imageList.map(({ data }) => data);
    const { html, images } = await extras(c, sent, request);
    return c.json({ html_info: html, images });
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
