import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { contrast, decodePng, psnr } from './support/png.ts';

/** The smallest latents that still have every level of the tiny checkpoint: a software adapter is slow. */
const REQUEST = {
  prompt: 'a (red:1.3) apple on a table',
  negative_prompt: 'blurry',
  steps: 2,
  seed: 7,
  width: 64,
  height: 64,
  cfg_scale: 5,
};
const SAMPLERS = ['Euler', 'Euler', 'DPM++ 2M'] as const;

describe('WebGPU', () => {
  let models: string;

  beforeAll(() => {
    models = mkdtempSync(join(tmpdir(), 'easel-models-'));
    for (const name of ['sd15-tiny', 'sd2-tiny']) {
      const folder = join(models, 'Stable-diffusion', name);
      cpSync(join(ROOT, 'test/fixtures/models', name), folder, { recursive: true });
    }
  });

  afterAll(() => rmSync(models, { recursive: true, force: true }));

  /** One picture a sampler of SAMPLERS, made in a fresh tab on the given device. */
  async function generateOn(device: 'webgpu' | 'wasm'): Promise<Buffer[]> {
    const args = ['--browser', 'none', '--models-dir', models, '--ckpt', 'sd15-tiny'];
    const bridge = await startBridge(args);
    const browser = await launchBrowser({ webgpu: device === 'webgpu' });
    try {
      const page = await browser.newPage();
      await page.goto(`${bridge.url}/?device=${device}&precision=fp32`);
      await bridge.ready();
      const files: Buffer[] = [];
      for (const sampler_name of SAMPLERS) {
        const response = await bridge.post('/sdapi/v1/txt2img', { ...REQUEST, sampler_name });
        const text = await response.text();
        expect(response.status, text).toBe(200);
        files.push(Buffer.from(JSON.parse(text).images[0], 'base64'));
      }
      const health = await bridge.get<{ engines: { device: string; checkpoint: string }[] }>(
        '/health',
      );
      expect(health.engines[0]).toMatchObject({ device, checkpoint: 'sd15-tiny' });
      const { summary } = await bridge.get<{ summary: { timings: { readBacks: number } } }>(
        '/easel/v1/jobs/last',
      );
      expect(summary.timings.readBacks).toBe(device === 'webgpu' ? 1 : 0);
      if (device === 'wasm') return files;
      const draw = async (sd_model_checkpoint: string) => {
        const override_settings = { sd_model_checkpoint };
        const body = { ...REQUEST, sampler_name: 'Euler', override_settings };
        const response = await bridge.post('/sdapi/v1/txt2img', body);
        const text = await response.text();
        expect(response.status, text).toBe(200);
        return Buffer.from(JSON.parse(text).images[0], 'base64');
      };
      // A checkpoint takes its graphics device with it, both where it is unloaded and where another takes its place.
      await bridge.post('/sdapi/v1/unload-checkpoint', {});
      expect((await draw('sd2-tiny')).equals(files[0] ?? Buffer.alloc(0))).toBe(false);
      expect((await draw('sd15-tiny')).equals(files[0] ?? Buffer.alloc(0))).toBe(true);
      return files;
    } finally {
      await browser.close();
      await bridge.stop();
    }
  }

  it('agrees with wasm (PSNR of at least 40 dB) and with itself (same seed, same bytes)', {
    timeout: 600_000,
  }, async () => {
    const onWasm = await generateOn('wasm');
    const onGpu = await generateOn('webgpu');
    for (const files of [onWasm, onGpu]) expect(files[0]!.equals(files[1]!)).toBe(true);
    for (const place of [1, 2]) {
      const picture = decodePng(onGpu[place]!);
      expect(contrast(picture)).toBeGreaterThan(5);
      expect(psnr(picture, decodePng(onWasm[place]!))).toBeGreaterThanOrEqual(40);
    }
  });
});
