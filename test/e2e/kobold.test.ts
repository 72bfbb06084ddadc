import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { decodePng } from './support/png.ts';

/** KoboldAI Lite runs from its own site: every request is a cross-origin one. */
const LITE = 'https://lite.koboldai.net';

describe('KoboldAI Lite, from its own origin in a real browser', () => {
  let bridge: RunningBridge;
  let browser: Browser;
  let engineTab: Page;
  let lite: Page;

  beforeAll(async () => {
    bridge = await startBridge(['--browser', 'none']);
    browser = await launchBrowser();
    engineTab = await browser.newPage();
    await engineTab.goto(`${bridge.url}/?device=wasm`);
    await bridge.ready();
    const context = await browser.newContext();
    await context.grantPermissions(['local-network-access']).catch(() => {});
    lite = await context.newPage();
    await lite.route(`${LITE}/**`, (route) =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>Lite</title>' }),
    );
    await lite.goto(`${LITE}/`);
  });

  afterAll(async () => {
    await browser?.close();
    await bridge?.stop();
  });

  it('[C1] S15 connects: the model list and the options that it insists on', async () => {
    const { models, options } = await lite.evaluate(async (base) => {
      const models = await (await fetch(`${base}/sdapi/v1/sd-models`)).json();
      const options = await (await fetch(`${base}/sdapi/v1/options`)).json();
      return { models, options };
    }, bridge.url);
    expect(models.length).toBeGreaterThan(0);
    for (const model of models) {
      expect(model.model_name).toBeTypeOf('string');
      expect(model.filename).toBeTypeOf('string');
    }
    expect(options.samples_format).toBe('png');
    expect(models.map((model: { title: string }) => model.title)).toContain(
      options.sd_model_checkpoint,
    );
  });

  it('[C17] generates and redraws with the very bodies that it sends', async () => {
    const images = await lite.evaluate(async (base) => {
      const post = async (path: string, body: unknown) => {
        const response = await fetch(base + path, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        });
        return await response.json();
      };
      const common = {
        prompt: 'a red apple',
        negative_prompt: 'blurry',
        cfg_scale: 5,
        steps: 4,
        width: 512,
        height: 512,
        seed: -1,
        sampler_name: 'Euler a',
        scheduler: 'simple',
        n_iter: 1,
        batch_size: 1,
        do_not_save_grid: true,
        do_not_save_samples: true,
        enable_hr: false,
        eta: 0,
        s_churn: 0,
        s_tmax: 0,
        s_tmin: 0,
        s_noise: 1,
        override_settings: {
          sd_model_checkpoint: '',
          eta_noise_seed_delta: 0,
          CLIP_stop_at_last_layers: 1.0,
          ddim_discretize: 'uniform',
          img2img_fix_steps: false,
          sd_hypernetwork: 'None',
          inpainting_mask_weight: 1,
          initial_noise_multiplier: 1,
          comma_padding_backtrack: 20,
        },
      };
      const first = await post('/sdapi/v1/txt2img', common);
      const second = await post('/sdapi/v1/img2img', {
        ...common,
        init_images: [first.images[0]],
        denoising_strength: 0.6,
      });
      return [first.images[0], second.images[0]] as string[];
    }, bridge.url);
    for (const image of images) {
      const picture = decodePng(Buffer.from(image, 'base64'));
      expect([picture.width, picture.height]).toEqual([512, 512]);
    }
    expect(images[0]).not.toBe(images[1]);
  });

  it('can read an error: the CORS headers are on it too', async () => {
    const { status, detail } = await lite.evaluate(async (base) => {
      const response = await fetch(`${base}/sdapi/v1/txt2img`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{"steps": ',
      });
      return { status: response.status, detail: (await response.json()).detail };
    }, bridge.url);
    expect(status).toBe(422);
    expect(detail).toBeTruthy();
  });

  it('is refused from a site that nobody allowed', async () => {
    const response = await fetch(`${bridge.url}/sdapi/v1/options`, {
      headers: { origin: 'https://evil.example' },
    });
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });
});
