import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { contrast, decodePng } from './support/png.ts';

/** The reply of txt2img and img2img as a client reads it. */
interface ImagesReply {
  images: string[];
  parameters: Record<string, unknown>;
  info: string;
}

const PROMPT = 'a red apple, 3d';

function bytesOf(base64: string): Buffer {
  expect(base64).not.toMatch(/^data:/);
  return Buffer.from(base64, 'base64');
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

describe('HTTP request to pixels on wasm, through the real bridge, tab and embedded model', () => {
  let bridge: RunningBridge;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    bridge = await startBridge(['--browser', 'none']);
    browser = await launchBrowser();
    page = await (await browser.newContext()).newPage();
    await page.goto(`${bridge.url}/?device=wasm`);
    await bridge.ready();
  });

  afterAll(async () => {
    await browser?.close();
    expect(await bridge?.stop()).toBe(0);
  });

  async function generate(route: 'txt2img' | 'img2img', body: Record<string, unknown>) {
    const response = await bridge.post(`/sdapi/v1/${route}`, body);
    const text = await response.text();
    expect(response.status, text).toBe(200);
    const reply = JSON.parse(text) as ImagesReply;
    return { reply, info: JSON.parse(reply.info), files: reply.images.map(bytesOf), response };
  }

  it('says on /health which engine is attached and what it runs on', async () => {
    const health = await bridge.get<{
      status: string;
      engines: { device: string; checkpoint: string; state: string }[];
    }>('/health');
    expect(health.status).toBe('ready');
    expect(health.engines).toHaveLength(1);
    expect(health.engines[0]).toMatchObject({ device: 'wasm', checkpoint: 'easel-tiny' });
  });

  it('lists the embedded model, and options name it as the list does', async () => {
    const models =
      await bridge.get<{ title: string; model_name: string; filename: string }[]>(
        '/sdapi/v1/sd-models',
      );
    const options = await bridge.get<Record<string, unknown>>('/sdapi/v1/options');
    expect(models.map((model) => model.model_name)).toContain('easel-tiny');
    expect(models.map((model) => model.title)).toContain(options.sd_model_checkpoint);
    expect(options.samples_format).toBe('png');
  });

  it('lists the LoRA for four steps, and draws with it', async () => {
    const loras = await bridge.get<{ name: string }[]>('/sdapi/v1/loras');
    expect(loras.map(({ name }) => name)).toEqual(['easel-tiny-lcm']);
    const { files, info } = await generate('txt2img', {
      prompt: 'a blue car <lora:easel-tiny-lcm:1>',
      ...{ sampler_name: 'LCM', steps: 4, cfg_scale: 1, seed: 1, width: 512, height: 512 },
    });
    expect(contrast(decodePng(files[0]!))).toBeGreaterThan(10);
    expect(info.infotexts[0]).toMatch(/Steps: 4, Sampler: LCM.*Lora hashes: "easel-tiny-lcm: /);
  });

  it('[S4] makes a picture, saves it, and makes the very same bytes again for the same seed', async () => {
    const request = { prompt: PROMPT, steps: 6, seed: 1, width: 512, height: 512, cfg_scale: 5 };
    const first = await generate('txt2img', request);
    const picture = decodePng(first.files[0]!);
    expect([picture.width, picture.height]).toEqual([512, 512]);
    expect(contrast(picture)).toBeGreaterThan(10);
    expect(first.info.seed).toBe(1);
    expect(first.info.infotexts[0]).toMatch(/^a red apple, 3d\nSteps: 6, Sampler: Euler/);
    expect(first.files[0]!.includes('parameters\0a red apple, 3d')).toBe(true);

    const saved = filesBelow(join(bridge.dataDir, 'generated_imgs')).filter((f) => /png$/.test(f));
    expect(saved.map((file) => readFileSync(file).equals(first.files[0]!))).toContain(true);

    const again = await generate('txt2img', request);
    expect(again.files[0]!.equals(first.files[0]!)).toBe(true);
    const other = await generate('txt2img', { ...request, seed: 2 });
    expect(other.files[0]!.equals(first.files[0]!)).toBe(false);
  });

  it('makes batch_size times n_iter pictures with consecutive seeds', async () => {
    const { files, info } = await generate('txt2img', {
      prompt: PROMPT,
      steps: 2,
      seed: 10,
      batch_size: 2,
      n_iter: 2,
      width: 256,
      height: 256,
    });
    expect(files).toHaveLength(4);
    expect(info.all_seeds).toEqual([10, 11, 12, 13]);
    expect(new Set(files.map((file) => file.toString('base64'))).size).toBe(4);
  });

  it('rounds sizes down to the VAE factor and accepts numbers as text', async () => {
    const { files, info } = await generate('txt2img', {
      prompt: PROMPT,
      steps: '2',
      seed: '3',
      width: 300,
      height: '270',
    });
    const picture = decodePng(files[0]!);
    expect([picture.width, picture.height]).toEqual([288, 256]);
    expect(info.seed).toBe(3);
  });

  it('redraws a bare base64 JPEG with an empty sd_model_checkpoint, as KoboldAI Lite sends it', async () => {
    const jpeg = await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(400, 300);
      const context = canvas.getContext('2d')!;
      context.fillStyle = '#2050d0';
      context.fillRect(0, 0, 400, 300);
      context.fillStyle = '#f0d020';
      context.fillRect(100, 60, 200, 180);
      const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 });
      const bytes = new Uint8Array(await blob.arrayBuffer());
      return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    });
    const request = {
      prompt: PROMPT,
      init_images: [jpeg],
      steps: 6,
      seed: 5,
      width: 512,
      height: 512,
      override_settings: { sd_model_checkpoint: '' },
    };
    const faithful = await generate('img2img', { ...request, denoising_strength: 0.05 });
    const free = await generate('img2img', { ...request, denoising_strength: 0.95 });
    const pixel = (file: Buffer, x: number, y: number) => {
      const { width, pixels } = decodePng(file);
      return [...pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)] as number[];
    };
    const [r, g, b] = pixel(faithful.files[0]!, 30, 256);
    expect(b! - r!, `blue stays blue at low strength: ${r},${g},${b}`).toBeGreaterThan(40);
    expect(free.files[0]!.equals(faithful.files[0]!)).toBe(false);
    expect(free.info.infotexts[0]).toContain('Denoising strength: 0.95');
  });

  it('reports progress while it works, and interrupt answers the request with what exists', async () => {
    const pending = bridge.post('/sdapi/v1/txt2img', { prompt: PROMPT, steps: 150, seed: 1 });
    const seen: number[] = [];
    let job = '';
    let preview: string | null = null;
    for (let i = 0; i < 600 && preview === null; i++) {
      const progress = await bridge.get<{
        progress: number;
        current_image: string | null;
        eta_relative: number;
        state: { job: string; job_count: number; sampling_steps: number; sampling_step: number };
      }>('/sdapi/v1/progress');
      seen.push(progress.progress);
      if (progress.state.job) {
        job = progress.state.job;
        preview = progress.current_image;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(job).toBe('scripts_txt2img');
    expect(seen.filter((value) => value > 0.02).length).toBeGreaterThan(1);
    const small = decodePng(bytesOf(preview ?? ''));
    expect([small.width, small.height]).toEqual([256, 256]);
    const interrupted = await bridge.post('/sdapi/v1/interrupt', {});
    expect(await interrupted.json()).toEqual({});
    const response = await pending;
    expect(response.status).toBe(200);
    const reply = (await response.json()) as ImagesReply;
    expect(reply.images).toHaveLength(1);
    const idle = await bridge.get<{ progress: number; state: { job: string; job_count: number } }>(
      '/sdapi/v1/progress',
    );
    expect(idle).toMatchObject({ progress: 0, state: { job: '', job_count: 0 } });
  });

  it.each([
    ['steps 0', { steps: 0 }, 422],
    ['negative steps', { steps: -3 }, 422],
    ['a size beyond the limit', { width: 100_000 }, 422],
    ['a wrong type', { steps: [1] }, 422],
    ['img2img without a picture', { init_images: null }, 404],
    ['broken base64', { init_images: ['&&&not base64&&&'] }, 422],
    ['a picture that is none', { init_images: [Buffer.from('hello').toString('base64')] }, 422],
  ])('refuses %s with a sentence', async (_name, body, status) => {
    const route = 'init_images' in body ? 'img2img' : 'txt2img';
    const response = await bridge.post(`/sdapi/v1/${route}`, { prompt: 'x', ...body });
    const text = await response.text();
    expect(response.status, text).toBe(status);
    expect(text).not.toMatch(/\bat .*:\d+:\d+/);
    expect(JSON.parse(text).detail).toBeTruthy();
  });

  it('loads the compiled model the second time without reading a source file', async () => {
    const context = page.context();
    await page.close();
    const fetched: string[] = [];
    context.on('request', (request) => fetched.push(new URL(request.url()).pathname));
    page = await context.newPage();
    await page.goto(`${bridge.url}/?device=wasm`);
    await bridge.ready();
    const { files } = await generate('txt2img', { prompt: PROMPT, steps: 1, seed: 1 });
    expect(files).toHaveLength(1);
    expect(fetched.filter((path) => path.endsWith('index.html') || path === '/')).not.toHaveLength(
      0,
    );
    expect(fetched.filter((path) => path.endsWith('.safetensors'))).toEqual([]);
  });

  it('answers 503 with a sentence when the tab is gone and none comes', async () => {
    const waiting = await startBridge(['--browser', 'none', '--engine-wait', '1']);
    try {
      const response = await waiting.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 1 });
      expect(response.status).toBe(503);
      expect(await response.text()).toMatch(/open http:\/\/localhost/i);
    } finally {
      await waiting.stop();
    }
  });
});
