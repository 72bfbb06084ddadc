import { Hono } from 'hono';
import type { ModelListing } from '../../protocol/catalog.ts';
import { SAMPLERS, type SamplerInfo, SCHEDULERS } from '../../protocol/samplers.ts';
import type { BridgeServices } from '../services.ts';
import { listCheckpoints } from './checkpoints.ts';
import type { A1111Settings } from './settings.ts';

/** A1111 writes its booleans as Python prints them, in text. */
function samplerOptions(sampler: SamplerInfo): Record<string, string> {
  const options: Record<string, string> = {};
  if (sampler.defaultScheduler !== null) options.scheduler = sampler.defaultScheduler;
  if (sampler.usesEnsd) options.uses_ensd = 'True';
  if (sampler.isSecondOrder) options.second_order = 'True';
  if (sampler.discardsNextToLastSigma) options.discard_next_to_last_sigma = 'True';
  if (sampler.usesBrownianNoise) options.brownian_noise = 'True';
  if (sampler.solverType !== null) options.solver_type = sampler.solverType;
  return options;
}

const SAMPLER_ITEMS = SAMPLERS.map((sampler) => ({
  name: sampler.name,
  aliases: sampler.aliases,
  options: samplerOptions(sampler),
}));

const SCHEDULER_ITEMS = SCHEDULERS.map((scheduler) => ({
  name: scheduler.name,
  label: scheduler.label,
  aliases: scheduler.aliases,
  default_rho: scheduler.defaultRho,
  need_inner_model: scheduler.needsInnerModel,
}));

/** The first must be `None`: clients put the latent modes behind it. */
const PLAIN_UPSCALERS: readonly string[] = ['None', 'Lanczos', 'Nearest'];

/** Every upscaler with the file of its model, plain ones first; the scale is A1111's placeholder. */
export async function listUpscalers(models: Pick<BridgeServices['models'], 'list'>) {
  const item = (name: string, model_path: string | null) => ({
    name,
    model_name: null,
    model_path,
    model_url: null,
    scale: 4,
  });
  const files = await models.list('esrgan');
  const plain = PLAIN_UPSCALERS.map((name) => item(name, null));
  const taken = new Set(PLAIN_UPSCALERS);
  const found = files.filter(({ name }) => !taken.has(name));
  return [...plain, ...found.map(({ name, filename }) => item(name, filename))];
}

const LATENT_MODES = [
  'Latent',
  'Latent (antialiased)',
  'Latent (bicubic)',
  'Latent (bicubic antialiased)',
  'Latent (nearest)',
  'Latent (nearest-exact)',
].map((name) => ({ name }));

const NONE: readonly never[] = [];

function vaeItem({ name, filename }: ModelListing) {
  return { model_name: name, filename };
}

/** A1111 tells shape and vectors of each embedding; both are 0 until a tab has read the file. */
function embeddingItem() {
  return { step: null, sd_checkpoint: null, sd_checkpoint_name: null, shape: 0, vectors: 0 };
}

/** Every list that clients fill their menus from, answered from the bridge's own state. */
export function catalogRoutes({ models }: BridgeServices, settings: A1111Settings): Hono {
  const app = new Hono();

  app.get('/sdapi/v1/sd-models', async (c) => {
    const entries = await listCheckpoints(models);
    return c.json(entries.map(({ name: _name, ...item }) => item));
  });
  app.get('/sdapi/v1/samplers', (c) => c.json(SAMPLER_ITEMS));
  app.get('/sdapi/v1/schedulers', (c) => c.json(SCHEDULER_ITEMS));
  app.get('/sdapi/v1/upscalers', async (c) => c.json(await listUpscalers(models)));
  app.get('/sdapi/v1/latent-upscale-modes', (c) => c.json(LATENT_MODES));
  for (const path of ['/sdapi/v1/sd-vae', '/sdapi/v1/sd-modules']) {
    app.get(path, async (c) => c.json((await models.list('vae')).map(vaeItem)));
  }
  app.get('/sdapi/v1/loras', async (c) => {
    const loras = await models.list('lora');
    return c.json(
      loras.map(({ name, filename }) => ({ name, alias: name, path: filename, metadata: {} })),
    );
  });
  app.get('/sdapi/v1/embeddings', async (c) => {
    const embeddings = await models.list('embedding');
    const skipped = Object.fromEntries(embeddings.map(({ name }) => [name, embeddingItem()]));
    return c.json({ loaded: {}, skipped });
  });
  app.get('/sdapi/v1/prompt-styles', async (c) => {
    const styles = (await settings.styles?.()) ?? [];
    return c.json(
      styles.map(({ name, prompt, negativePrompt }) => ({
        name,
        prompt,
        negative_prompt: negativePrompt,
      })),
    );
  });
  for (const what of ['hypernetworks', 'face-restorers', 'realesrgan-models']) {
    app.get(`/sdapi/v1/${what}`, (c) => c.json(NONE));
  }
  app.get('/sdapi/v1/scripts', (c) => c.json({ txt2img: NONE, img2img: NONE }));
  app.get('/sdapi/v1/script-info', (c) => c.json(NONE));
  app.get('/sdapi/v1/extensions', (c) => c.json(NONE));
  app.get('/controlnet/model_list', (c) => c.json({ model_list: NONE }));
  app.get('/controlnet/module_list', (c) => c.json({ module_list: ['none'], module_detail: {} }));

  // The two menus that one client reads out of Gradio's configuration.
  app.get('/config', async (c) => {
    const loras = (await models.list('lora')).map(({ name }) => name);
    const upscalers = await listUpscalers(models);
    const component = (elem_id: string, choices: readonly string[]) => ({
      type: 'dropdown',
      props: { elem_id, choices },
    });
    return c.json({
      components: [
        component('setting_sd_lora', ['', ...loras]),
        component(
          'txt2img_hr_upscaler',
          [...LATENT_MODES, ...upscalers].map((u) => u.name),
        ),
      ],
    });
  });
  return app;
}
