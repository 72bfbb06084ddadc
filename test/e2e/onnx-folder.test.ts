import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Browser } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MODELS } from '../compiler/lib/files.ts';
import { onnxFolder } from '../compiler/lib/onnx-folder.ts';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { decodePng, psnr } from './support/png.ts';

const REQUEST = {
  prompt: 'a (red:1.3) apple',
  negative_prompt: 'blurry',
  ...{ steps: 2, width: 64, height: 64, seed: 11, cfg_scale: 5, sampler_name: 'DPM++ 2M' },
};

/** The folder of checkpoints that a user has: weights, and the same weights as exported graphs. */
function checkpoints(files: ReadonlyMap<string, Uint8Array>): string {
  const folder = mkdtempSync(join(tmpdir(), 'easel-ckpt-'));
  cpSync(join(MODELS, 'sd15-tiny'), join(folder, 'weights'), { recursive: true });
  for (const [path, bytes] of files) {
    const full = join(folder, 'graphs', path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, bytes);
  }
  return folder;
}

describe.each(['wasm', 'webgpu'])('a folder of ONNX graphs in --ckpt-dir, on %s', (device) => {
  let folder: string;
  let bridge: RunningBridge;
  let browser: Browser;
  beforeAll(async () => {
    folder = checkpoints(await onnxFolder('sd15-tiny', { dataFiles: 2 }));
    bridge = await startBridge(['--browser', 'none', '--ckpt-dir', folder, '--precision', 'fp32']);
    browser = await launchBrowser({ webgpu: device === 'webgpu' });
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${bridge.url}/?device=${device}`);
    await bridge.ready();
  });
  afterAll(async () => {
    await browser?.close();
    await bridge?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function draw(checkpoint: string) {
    const response = await bridge.post('/sdapi/v1/txt2img', {
      ...REQUEST,
      override_settings: { sd_model_checkpoint: checkpoint },
    });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    const { images, info } = JSON.parse(text) as { images: string[]; info: string };
    expect(JSON.parse(info).sd_model_name).toBe(checkpoint);
    return decodePng(Buffer.from(images[0]!, 'base64'));
  }

  it('is listed, and draws over HTTP what its weights draw', async () => {
    const models = await bridge.get<{ model_name: string }[]>('/sdapi/v1/sd-models');
    expect(models.map(({ model_name }) => model_name)).toEqual(
      expect.arrayContaining(['graphs', 'weights']),
    );
    const graphs = await draw('graphs');
    const weights = await draw('weights');
    expect(psnr(graphs, weights)).toBeGreaterThan(45);
    const health = await bridge.get<{ engines: { device: string }[] }>('/health');
    expect(health.engines[0]?.device).toBe(device);
  });
});
