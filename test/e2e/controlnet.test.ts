import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeImage } from '../../web/engine/images/encode-image.ts';
import { ROOT, type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { contrast, decodePng, psnr } from './support/png.ts';

const FIXTURES = join(ROOT, 'test/fixtures/models');

/** A white box on blue, 96 × 64. */
function boxPicture() {
  const data = new Uint8Array(96 * 64 * 3);
  for (let i = 0; i < 96 * 64; i++) {
    const [x, y] = [i % 96, Math.floor(i / 96)];
    const isBox = x > 30 && x < 70 && y > 16 && y < 48;
    data.set(isBox ? [255, 255, 255] : [20, 40, 160], i * 3);
  }
  return { width: 96, height: 64, data };
}

describe('ControlNet units and TAESDs over HTTP', () => {
  let models: string;

  beforeAll(() => {
    models = mkdtempSync(join(tmpdir(), 'easel-models-'));
    const put = (from: string, to: string) => {
      mkdirSync(join(models, to, '..'), { recursive: true });
      cpSync(join(FIXTURES, from), join(models, to), { recursive: true });
    };
    put('sd15-tiny', 'Stable-diffusion/sd15-tiny');
    put('controlnet-tiny', 'ControlNet/canny-tiny');
    put('taesd-tiny/taesd_decoder.safetensors', 'VAE-approx/taesd_decoder.safetensors');
  });

  afterAll(() => rmSync(models, { recursive: true, force: true }));

  async function onDevice<R>(
    device: 'webgpu' | 'wasm',
    use: (bridge: RunningBridge) => Promise<R>,
  ): Promise<R> {
    const args = ['--browser', 'none', '--models-dir', models, '--ckpt', 'sd15-tiny'];
    const bridge = await startBridge(args);
    const browser = await launchBrowser({ webgpu: device === 'webgpu' });
    try {
      const page = await browser.newPage();
      await page.goto(`${bridge.url}/?device=${device}&precision=fp32`);
      await bridge.ready();
      return await use(bridge);
    } finally {
      await browser.close();
      await bridge.stop();
    }
  }

  /** What jobs make with two units of one picture: by the VAE, and by the TAESD. */
  async function makePictures(bridge: RunningBridge) {
    const image = Buffer.from(await encodeImage(boxPicture(), 'png', '')).toString('base64');
    const request = {
      ...{ prompt: 'an apple', negative_prompt: 'blurry', steps: 2, seed: 7, cfg_scale: 5 },
      ...{ width: 64, height: 64, sampler_name: 'Euler', tiling: true },
    };
    const unit = { model: 'canny-tiny', module: 'canny', image, processor_res: 64 };
    const args = [unit, { ...unit, module: 'invert', weight: 0.5, control_mode: 2 }];
    const generate = async (more: object) => {
      const response = await bridge.post('/sdapi/v1/txt2img', { ...request, ...more });
      const text = await response.text();
      expect(response.status, text).toBe(200);
      const { images, info } = JSON.parse(text) as { images: string[]; info: string };
      const { summary } = await bridge.get<{
        summary: { timings: { readBacks: number }; notes: string[] };
      }>('/easel/v1/jobs/last');
      const [infotext] = (JSON.parse(info) as { infotexts: string[] }).infotexts;
      const [picture, ...maps] = images.map((image) => decodePng(Buffer.from(image, 'base64')));
      return { picture: picture!, maps, infotext, summary };
    };
    const controlled = { alwayson_scripts: { controlnet: { args } } };
    const override_settings = { sd_vae_decode_method: 'TAESD' };
    return {
      image,
      generate,
      controlled: await generate(controlled),
      taesd: await generate({ ...controlled, override_settings }),
    };
  }

  it('agree on WebGPU and wasm, residuals never leave the GPU, and infotexts say what was done', {
    timeout: 300_000,
  }, async () => {
    const onWasm = await onDevice('wasm', async (bridge) => {
      const { model_list: list } = await bridge.get<{ model_list: string[] }>(
        '/controlnet/model_list',
      );
      expect(list).toEqual([expect.stringMatching(/^canny-tiny \[[0-9a-f]{8}\]$/)]);
      const made = await makePictures(bridge);
      const response = await bridge.post('/controlnet/detect', {
        controlnet_module: 'canny',
        controlnet_input_images: [made.image],
        controlnet_processor_res: 128,
      });
      const reply = (await response.json()) as { images: string[]; info: string };
      expect(reply.info).toBe('Success');
      const edges = decodePng(Buffer.from(reply.images[0]!, 'base64'));
      expect([edges.width, edges.height]).toEqual([192, 128]);
      // Both units' maps come behind the picture, at its size.
      expect(made.controlled.maps.map(({ width, height }) => [width, height])).toEqual([
        [64, 64],
        [64, 64],
      ]);
      const plain = await made.generate({});
      expect(plain.maps).toEqual([]);
      expect(psnr(made.controlled.picture, plain.picture)).toBeLessThan(30);
      return made;
    });
    const onGpu = await onDevice('webgpu', makePictures);
    for (const made of [onWasm, onGpu]) {
      expect(made.controlled.infotext).toMatch(
        /ControlNet 0: "Module: canny, Model: canny-tiny \[[0-9a-f]{8}\], Weight: 1\.0, .*ControlNet 1: "Module: invert, /,
      );
      expect(made.taesd.infotext).toContain('VAE Decoder: TAESD');
      expect(made.controlled.summary.notes).toEqual([]);
      expect(psnr(made.taesd.picture, made.controlled.picture)).toBeLessThan(30);
    }
    for (const kind of ['controlled', 'taesd'] as const) {
      const [gpu, wasm] = [onGpu[kind], onWasm[kind]];
      expect(contrast(gpu.picture), kind).toBeGreaterThan(5);
      expect(psnr(gpu.picture, wasm.picture), kind).toBeGreaterThanOrEqual(40);
    }
    // The picture alone comes back; the job before read the texts.
    expect(onGpu.taesd.summary.timings.readBacks).toBe(1);
  });
});
