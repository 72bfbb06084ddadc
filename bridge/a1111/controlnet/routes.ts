import { Hono } from 'hono';
import { MAX_CONTROLS } from '../../../protocol/control.ts';
import { generationParams } from '../../../protocol/generation.ts';
import type { BridgeServices } from '../../services.ts';
import { clientName } from '../client-name.ts';
import { ApiError } from '../errors.ts';
import { readImage } from '../image-input.ts';
import { jsonBody } from '../json-body.ts';
import { controlnetDetectRequest } from '../schemas.ts';
import { findModule, MODULES } from './modules.ts';
import { listControlnets } from './names.ts';

/** The version of sd-webui-controlnet's API that is spoken here. */
const API_VERSION = 2;

const details = (key: 'name' | 'alias') =>
  Object.fromEntries(
    MODULES.map(({ sliders, ...names }) => [names[key], { model_free: false, sliders }]),
  );

/** Lists and preprocessors by the addresses of sd-webui-controlnet. */
export function controlnetRoutes({ models, jobs }: BridgeServices): Hono {
  const app = new Hono();
  const labels = async () => (await listControlnets(models)).map(({ label }) => label);

  app.get('/controlnet/version', (c) => c.json({ version: API_VERSION }));
  app.get('/controlnet/settings', (c) => c.json({ control_net_unit_count: MAX_CONTROLS }));
  app.get('/controlnet/model_list', async (c) => c.json({ model_list: await labels() }));
  app.get('/controlnet/module_list', (c) => {
    const key = c.req.query('alias_names')?.toLowerCase() === 'true' ? 'alias' : 'name';
    return c.json({ module_list: MODULES.map((entry) => entry[key]), module_detail: details(key) });
  });
  app.get('/controlnet/control_types', async (c) => {
    const all = await labels();
    const type = (module_list: readonly string[], wanted: string) => {
      const model_list = ['None', ...all.filter((label) => label.toLowerCase().includes(wanted))];
      const [none = 'None', first = none] = model_list;
      return {
        ...{ module_list, model_list },
        default_option: module_list.at(-1) ?? 'none',
        default_model: wanted === '' ? none : first,
      };
    };
    const control_types = {
      All: {
        ...type(
          MODULES.map(({ name }) => name),
          '',
        ),
        default_option: 'none',
      },
      Canny: type(['none', 'canny'], 'canny'),
    };
    return c.json({ control_types });
  });

  app.post('/controlnet/detect', async (c) => {
    const request = await jsonBody(c, controlnetDetectRequest);
    const module = findModule(request.controlnet_module);
    const sent = request.controlnet_input_images ?? request.controlnet_images ?? [];
    if (sent.length === 0) throw new ApiError(422, 'No image selected');
    const pictures = sent.map((text) => readImage(text).bytes.toString('base64'));
    const images: string[] = [];
    for (const image of pictures) {
      const or = (value: number) => (value < 0 ? null : value);
      const resolution = or(request.controlnet_processor_res);
      const control = {
        ...{ model: 'None', module, image },
        processorResolution: resolution === null ? null : Math.max(64, resolution),
        thresholdA: or(request.controlnet_threshold_a),
        thresholdB: or(request.controlnet_threshold_b),
      };
      const params = generationParams.parse({ mode: 'preprocess', controls: [control] });
      const result = await jobs.submit(
        { params, client: clientName(c), key: null, saveImages: false },
        { signal: c.req.raw.signal },
      );
      const [picture] = result.images;
      if (!picture) throw new ApiError(500, 'The job was interrupted before its picture was made.');
      images.push(picture.data);
    }
    return c.json({ images, info: 'Success' });
  });
  return app;
}
