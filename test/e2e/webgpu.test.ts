import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { contrast, decodePng, type Picture, psnr } from './support/png.ts';

/** 128 x 128 is the tiny checkpoint's own size: small enough for a software adapter. */
const REQUEST = {
  prompt: 'a (red:1.3) apple on a table',
  negative_prompt: 'blurry',
  steps: 3,
  seed: 7,
  width: 128,
  height: 128,
  cfg_scale: 5,
};

describe('WebGPU', () => {
  let models: string;

  beforeAll(() => {
    models = mkdtempSync(join(tmpdir(), 'easel-models-'));
    cpSync(
      join(ROOT, 'test/fixtures/models/sd15-tiny'),
      join(models, 'Stable-diffusion', 'sd15-tiny'),
      { recursive: true },
    );
  });

  afterAll(() => rmSync(models, { recursive: true, force: true }));

  /** Two pictures of one request, made in a fresh tab on the given device. */
  async function generateOn(device: 'webgpu' | 'wasm', sampler: string): Promise<Picture[]> {
    const args = ['--browser', 'none', '--models-dir', models, '--ckpt', 'sd15-tiny'];
    const bridge = await startBridge(args);
    const browser = await launchBrowser({ webgpu: device === 'webgpu' });
    try {
      const page = await browser.newPage();
      await page.goto(`${bridge.url}/?device=${device}&precision=fp32`);
      await bridge.ready();
      const pictures: Picture[] = [];
      const raw: Buffer[] = [];
      for (let i = 0; i < 2; i++) {
        const response = await bridge.post('/sdapi/v1/txt2img', {
          ...REQUEST,
          sampler_name: sampler,
        });
        const text = await response.text();
        expect(response.status, text).toBe(200);
        const bytes = Buffer.from(JSON.parse(text).images[0], 'base64');
        raw.push(bytes);
        pictures.push(decodePng(bytes));
      }
      const health = await bridge.get<{ engines: { device: string; checkpoint: string }[] }>(
        '/health',
      );
      expect(health.engines[0]).toMatchObject({ device, checkpoint: 'sd15-tiny' });
      expect(raw[0]!.equals(raw[1]!), 'same seed, same bytes').toBe(true);
      return pictures;
    } finally {
      await browser.close();
      await bridge.stop();
    }
  }

  it.each(['Euler', 'DPM++ 2M'])(
    'agrees with wasm: PSNR of at least 40 dB with %s',
    async (sampler) => {
      const [onWasm] = await generateOn('wasm', sampler);
      const [onGpu] = await generateOn('webgpu', sampler);
      expect(contrast(onGpu!)).toBeGreaterThan(5);
      expect(psnr(onGpu!, onWasm!)).toBeGreaterThanOrEqual(40);
    },
  );
});
