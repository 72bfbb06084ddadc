import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { contrast, decodePng, type Picture } from './support/png.ts';

/** The part of a picture from a place on. */
function crop({ width, pixels }: Picture, x: number, y: number, w: number, h: number): Picture {
  const out = new Uint8Array(w * h * 3);
  for (let row = 0; row < h; row++) {
    const from = ((y + row) * width + x) * 3;
    out.set(pixels.subarray(from, from + w * 3), row * w * 3);
  }
  return { width: w, height: h, pixels: out };
}

describe('scripts, SHARK’s routes and masked edits, through the real bridge, tab and embedded model', () => {
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

  async function generate(route: string, body: Record<string, unknown>) {
    const response = await bridge.post(`/sdapi/v1/${route}`, body);
    const text = await response.text();
    expect(response.status, text).toBe(200);
    const reply = JSON.parse(text) as { images: string[]; info: string };
    const files = reply.images.map((image) => Buffer.from(image, 'base64'));
    return { reply, info: JSON.parse(reply.info), files };
  }

  const base = { prompt: 'a red apple, 3d', steps: 2, seed: 3, width: 256, height: 256 };

  it('an X/Y/Z plot is a labelled grid of the very pictures that single requests give', async () => {
    const script_args = [4, '1,2', [], 6, '3-5 (+2)', [], 0, '', [], true, true];
    const { files, info } = await generate('txt2img', {
      ...base,
      script_name: 'X/Y/Z plot',
      script_args,
    });
    expect(files).toHaveLength(5);
    const grid = decodePng(files[0]!);
    // Labels: 3/4 of a cell beside, one line of (256 + 256) / 25 pixels and half of that twice above.
    expect([grid.width, grid.height]).toEqual([192 + 2 * 256, 40 + 2 * 256]);
    for (const [index, [x, y]] of [
      [192, 40],
      [448, 40],
      [192, 296],
      [448, 296],
    ].entries()) {
      const cell = crop(grid, x!, y!, 256, 256);
      expect(cell.pixels, String(index)).toEqual(decodePng(files[index + 1]!).pixels);
    }
    // The margins hold black words on white.
    expect(contrast(crop(grid, 192, 0, 512, 40))).toBeGreaterThan(5);
    expect(contrast(crop(grid, 0, 40, 192, 512))).toBeGreaterThan(5);
    expect([...crop(grid, 0, 0, 192, 40).pixels].every((value) => value === 255)).toBe(true);

    const single = await generate('txt2img', { ...base, steps: 2, cfg_scale: 5 });
    expect(single.files[0]!.equals(files[4]!)).toBe(true);
    expect(info.infotexts[0]).toContain('Script: X/Y/Z plot, X Type: Steps');

    const read = await bridge.post('/sdapi/v1/png-info', { image: files[0]!.toString('base64') });
    const { parameters } = (await read.json()) as { parameters: Record<string, unknown> };
    expect(parameters).toMatchObject({ 'X Values': '1,2', 'Y Type': 'CFG Scale', Steps: '1' });
  });

  it('outpainting keeps the picture and makes more of it beside', async () => {
    const { files: made } = await generate('txt2img', base);
    const init_images = [made[0]!.toString('base64')];
    const { files, info } = await generate('img2img', {
      ...{ ...base, init_images, denoising_strength: 0.8, script_name: 'outpainting mk2' },
      script_args: ['', 64, 4, ['right']],
    });
    const picture = decodePng(files[0]!);
    expect([picture.width, picture.height]).toEqual([320, 256]);
    expect(info).toMatchObject({ width: 320, height: 256 });
    // Far from the seam it is the picture itself.
    const kept = crop(picture, 0, 0, 160, 256);
    expect(kept.pixels).toEqual(crop(decodePng(made[0]!), 0, 0, 160, 256).pixels);
    expect(contrast(crop(picture, 264, 0, 56, 256))).toBeGreaterThan(1);
  });

  it('SHARK’s inpaint and outpaint answer with pictures', async () => {
    const { files: made } = await generate('txt2img', base);
    const image = made[0]!.toString('base64');
    const inpainted = await generate('inpaint', { ...base, image, mask: image, steps: 2 });
    expect(decodePng(inpainted.files[0]!)).toMatchObject({ width: 256, height: 256 });
    const body = { ...base, init_images: [image], pixels: 64, directions: ['up', 'down'] };
    const outpainted = await generate('outpaint', body);
    expect(decodePng(outpainted.files[0]!)).toMatchObject({ width: 256, height: 384 });
  });

  it('OpenAI’s edits redraw the transparent part of the mask alone', async () => {
    const { files: made } = await generate('txt2img', base);
    const mask = await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(256, 256);
      const context = canvas.getContext('2d')!;
      context.fillRect(0, 0, 128, 256);
      return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
    });
    const form = new FormData();
    form.set('image', new File([Uint8Array.from(made[0]!)], 'image.png', { type: 'image/png' }));
    form.set('mask', new File([Uint8Array.from(mask)], 'mask.png', { type: 'image/png' }));
    form.set('prompt', 'a blue bottle');
    form.set('seed', '9');
    form.set('steps', '2');
    const response = await fetch(`${bridge.url}/v1/images/edits`, { method: 'POST', body: form });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    const { data } = JSON.parse(text) as { data: { b64_json: string }[] };
    const edited = decodePng(Buffer.from(data[0]!.b64_json, 'base64'));
    const before = decodePng(made[0]!);
    expect([edited.width, edited.height]).toEqual([256, 256]);
    expect(crop(edited, 0, 0, 96, 256).pixels).toEqual(crop(before, 0, 0, 96, 256).pixels);
    expect(crop(edited, 160, 0, 96, 256).pixels).not.toEqual(crop(before, 160, 0, 96, 256).pixels);
  });

  it.each(['png', 'jpg', 'webp'])(
    '%s carries its infotext to png-info and back',
    async (format) => {
      const request = { ...base, prompt: 'a “red” apple, 3d: <b>', negative_prompt: 'ugly' };
      const override_settings = { samples_format: format, add_model_name_to_info: false };
      const { files, info } = await generate('txt2img', { ...request, override_settings });
      const read = await bridge.post('/sdapi/v1/png-info', { image: files[0]!.toString('base64') });
      const found = (await read.json()) as { info: string; parameters: Record<string, unknown> };
      expect(found.info).toBe(info.infotexts[0]);
      expect(found.info).not.toContain('Model:');
      expect(found.parameters).toMatchObject({
        ...{ Prompt: request.prompt, 'Negative prompt': 'ugly', Seed: '3', Steps: '2' },
      });
      const bare = { ...override_settings, enable_pnginfo: false };
      const { files: plain } = await generate('txt2img', { ...request, override_settings: bare });
      const image = plain[0]!.toString('base64');
      const none = await bridge.post('/sdapi/v1/png-info', { image });
      expect(await none.json()).toMatchObject({ info: '' });
    },
  );

  it('pictures are called and put where A1111’s patterns say', async () => {
    const override_settings = {
      ...{ samples_filename_pattern: '[seed]-[steps]', directories_filename_pattern: 'x/[width]' },
      save_txt: true,
    };
    const { files, info } = await generate('txt2img', { ...base, seed: 77, override_settings });
    const folder = join(bridge.dataDir, 'generated_imgs/x/256');
    expect(readFileSync(join(folder, '77-2.png')).equals(files[0]!)).toBe(true);
    expect(readFileSync(join(folder, '77-2.txt'), 'utf8')).toBe(`${info.infotexts[0]}\n`);
  });

  it('an interrupt ends a plot, and the server is idle again', async () => {
    const script_args = [4, '20,21,22', [], 0, '', [], 0, '', []];
    const pending = generate('txt2img', { ...base, script_name: 'x/y/z plot', script_args });
    interface Progress {
      state: { job: string; sampling_step: number };
    }
    for (let i = 0; i < 300; i++) {
      const { state } = await bridge.get<Progress>('/sdapi/v1/progress');
      if (state.sampling_step > 0 && state.job.endsWith('out of 3')) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await bridge.post('/sdapi/v1/interrupt', {});
    const { info } = await pending;
    expect(info.all_seeds.length).toBeLessThan(3);
    const idle = await bridge.get('/sdapi/v1/progress');
    expect(idle).toMatchObject({ progress: 0, state: { job: '', job_count: 0 } });
  });
});
