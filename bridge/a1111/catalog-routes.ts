import { Hono } from 'hono';
import type { ModelListing } from '../../protocol/catalog.ts';
import { LATENT_UPSCALE_MODES } from '../../protocol/generation.ts';
import { SAMPLERS, type SamplerInfo, SCHEDULERS } from '../../protocol/samplers.ts';
import type { SafetensorsSummary } from '../models/safetensors-summary.ts';
import type { BridgeServices } from '../services.ts';
import { listCheckpoints } from './checkpoints.ts';
import { describeScripts, listScripts } from './scripts/script-list.ts';
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

const LATENT_MODES = LATENT_UPSCALE_MODES.map((name) => ({ name }));

const NONE: readonly never[] = [];

function vaeItem({ name, filename }: ModelListing) {
  return { model_name: name, filename };
}

/** The alias is what the training called the LoRA. */
function loraItem({ name, filename }: ModelListing, summary: SafetensorsSummary | null) {
  const alias = summary?.metadata.ss_output_name;
  const isNamed = typeof alias === 'string' && alias !== '' && alias !== 'None';
  const metadata = summary?.metadata ?? {};
  return { name, alias: isNamed ? alias : name, path: filename, metadata };
}

/** Width and number of an embedding's vectors: SDXL's are two side by side. Null for other files. */
function embeddingSize(summary: SafetensorsSummary | null) {
  const parts = ['emb_params', 'clip_l', 'clip_g'].flatMap((name) => {
    const shape = summary?.shapes.get(name);
    return shape ? [shape] : [];
  });
  const [first] = parts;
  if (!first) return null;
  const shape = parts.reduce((sum, sizes) => sum + (sizes.at(-1) ?? 0), 0);
  return { shape, vectors: first.length > 1 ? (first[0] ?? 0) : 1 };
}

/** A1111 tells shape and vectors of each embedding; both are 0 where the file is none. */
function embeddingItem(size: { shape: number; vectors: number } | null) {
  const { shape, vectors } = size ?? { shape: 0, vectors: 0 };
  return { step: null, sd_checkpoint: null, sd_checkpoint_name: null, shape, vectors };
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
      await Promise.all(
        loras.map(async (lora) => loraItem(lora, (await models.summary?.(lora)) ?? null)),
      ),
    );
  });
  app.get('/sdapi/v1/embeddings', async (c) => {
    const embeddings = await models.list('embedding');
    const loaded: Record<string, ReturnType<typeof embeddingItem>> = {};
    const skipped: typeof loaded = {};
    for (const embedding of embeddings) {
      const size = embeddingSize((await models.summary?.(embedding)) ?? null);
      (size ? loaded : skipped)[embedding.name] = embeddingItem(size);
    }
    return c.json({ loaded, skipped });
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
  app.get('/sdapi/v1/scripts', (c) => c.json(listScripts()));
  app.get('/sdapi/v1/script-info', (c) => c.json(describeScripts()));
  app.get('/sdapi/v1/extensions', (c) => c.json(NONE));

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
