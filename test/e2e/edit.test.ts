import type { Browser, BrowserContext, Locator, Page } from 'playwright';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchBrowser } from './support/browser.ts';
import { decodePng, type Picture } from './support/png.ts';
import { openStaticHost } from './support/static-host.ts';

/** Where two pictures of one size differ by more than a shade: [x, y] of each pixel. */
function differences(a: Picture, b: Picture): Array<[number, number]> {
  expect([b.width, b.height]).toEqual([a.width, a.height]);
  const found: Array<[number, number]> = [];
  for (let i = 0; i < a.width * a.height; i++) {
    const isOther = [0, 1, 2].some(
      (c) => Math.abs(a.pixels[3 * i + c]! - b.pixels[3 * i + c]!) > 2,
    );
    if (isOther) found.push([i % a.width, Math.floor(i / a.width)]);
  }
  return found;
}

function pixel({ width, pixels }: Picture, x: number, y: number): number[] {
  return [...pixels.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)];
}

describe('Edit', () => {
  let browser: Browser;
  let host: Awaited<ReturnType<typeof openStaticHost>>;
  let context: BrowserContext;
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    [browser, host] = await Promise.all([launchBrowser(), openStaticHost()]);
  });
  afterAll(async () => {
    await browser?.close();
    await host?.close();
  });
  beforeEach(async () => {
    context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
    page = await context.newPage();
    problems = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    await page.goto(`${host.url}?device=wasm#edit`);
    await page.getByLabel('Steps', { exact: true }).waitFor();
  });
  afterEach(async () => {
    expect(problems).toEqual([]);
    await context.close();
  });

  const button = (name: string): Locator => page.getByRole('button', { name, exact: true });
  const canvas = (): Locator => page.getByRole('application', { name: 'Canvas' });

  /** Paints along a line between two points of a 512×512 canvas. */
  async function paint(from: [number, number], to: [number, number]): Promise<void> {
    const box = await page.locator('.layer-picture').boundingBox();
    if (!box) throw new Error('there is no canvas');
    const scale = box.width / 512;
    const at = ([x, y]: [number, number]) => [box.x + x * scale, box.y + y * scale] as const;
    await page.mouse.move(...at(from));
    await page.mouse.down();
    await page.mouse.move(...at(to), { steps: 4 });
    await page.mouse.up();
  }

  async function setBrush(size: number): Promise<void> {
    await page.getByRole('slider', { name: 'Brush size' }).fill(String(size));
  }

  /** The layer as a PNG's pixels on black. */
  async function layer(name: 'picture' | 'paint' | 'mask'): Promise<Picture> {
    const url = await page.locator(`.layer-${name}`).evaluate((element) => {
      const source = element as HTMLCanvasElement;
      const copy = new OffscreenCanvas(source.width, source.height);
      const pen = copy.getContext('2d')!;
      pen.fillRect(0, 0, copy.width, copy.height);
      pen.drawImage(source, 0, 0);
      return copy.convertToBlob().then(
        (blob) =>
          new Promise<string>((resolve) => {
            const reader = new FileReader();
            reader.onload = () => resolve(String(reader.result));
            reader.readAsDataURL(blob);
          }),
      );
    });
    return decodePng(Buffer.from(url.slice(url.indexOf(',') + 1), 'base64'));
  }

  /** Runs a job from a button and returns what it made. */
  async function make(start: string): Promise<Picture> {
    const results = page.locator('.result');
    const before = await results.count();
    await button(start).click();
    if (before > 0) await results.first().waitFor({ state: 'detached' });
    await results.first().waitFor({ timeout: 120_000 });
    await page.getByRole('progressbar').waitFor({ state: 'detached', timeout: 60_000 });
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download' }).first().click(),
    ]);
    const chunks: Buffer[] = [];
    for await (const chunk of await file.createReadStream()) chunks.push(chunk);
    return decodePng(Buffer.concat(chunks));
  }

  async function isKept(): Promise<void> {
    await page.locator('main[data-kept="true"]').waitFor();
  }

  it('redraws only what is masked, takes it back onto the canvas, and undoes that', async () => {
    await button('Begin with a blank canvas').click();
    await page.getByLabel('Steps', { exact: true }).fill('3');
    await page.getByLabel('Seed', { exact: true }).fill('3');
    await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('a red apple, 3d');
    await setBrush(128);
    await paint([160, 256], [352, 256]);
    await page.getByLabel('Masked content').selectOption('Latent noise');
    const before = await layer('picture');
    const made = await make('Generate');
    const changed = differences(before, made);
    expect(changed.length).toBeGreaterThan(1000);
    // The brush reaches from (96, 192) to (416, 320); the blur of 4 pixels reaches a little further.
    for (const [x, y] of [
      [Math.min(...changed.map(([at]) => at)), Math.min(...changed.map(([, at]) => at))],
      [Math.max(...changed.map(([at]) => at)), Math.max(...changed.map(([, at]) => at))],
    ]) {
      expect(x).toBeGreaterThanOrEqual(96 - 16);
      expect(x).toBeLessThanOrEqual(416 + 16);
      expect(y).toBeGreaterThanOrEqual(192 - 16);
      expect(y).toBeLessThanOrEqual(320 + 16);
    }

    await button('Onto the canvas').click();
    await expect.poll(async () => differences(made, await layer('picture')).length).toBe(0);
    await button('Undo').click();
    await expect.poll(async () => differences(before, await layer('picture')).length).toBe(0);
    await button('Redo').click();
    await expect.poll(async () => differences(made, await layer('picture')).length).toBe(0);
  });

  it('extends the frame by a handle, keeps the old part, and makes the larger picture', async () => {
    await button('Begin with a blank canvas').click();
    await page.getByLabel('Steps', { exact: true }).fill('3');
    await page.getByRole('radio', { name: 'Colour' }).or(button('Colour')).click();
    await page.getByLabel('Brush colour').fill('#2040c0');
    await setBrush(512);
    await paint([2, 256], [510, 256]);
    const handle = button('Extend to the right');
    const box = await handle.boundingBox();
    const picture = await page.locator('.layer-picture').boundingBox();
    if (!box || !picture) throw new Error('there is no handle');
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + (70 * picture.width) / 512, y, { steps: 3 });
    await page.mouse.up();
    await expect.poll(async () => (await layer('picture')).width).toBe(576);
    await expect.poll(() => page.getByLabel('Width', { exact: true }).inputValue()).toBe('576');
    const mask = await layer('mask');
    expect(pixel(mask, 500, 100)).toEqual([0, 0, 0]);
    expect(pixel(mask, 512, 100)).not.toEqual([0, 0, 0]);

    const made = await make('Generate');
    expect([made.width, made.height]).toEqual([576, 512]);
    // Beyond the reach of the mask's blur the old part is the painted one.
    for (const at of [0, 100, 490]) expect(pixel(made, at, 256)).toEqual([0x20, 0x40, 0xc0]);

    // The same by keyboard: a step of 64 upwards.
    await button('Extend upwards').focus();
    await page.keyboard.press('Enter');
    await expect.poll(async () => (await layer('picture')).height).toBe(576);
    await page.keyboard.press('Control+z');
    await expect.poll(async () => (await layer('picture')).height).toBe(512);
  });

  it('sketches, erases and enlarges', async () => {
    await button('Begin with a blank canvas').click();
    await button('Colour').click();
    await page.getByLabel('Brush colour').fill('#c02020');
    await setBrush(100);
    await paint([100, 100], [400, 100]);
    await button('Eraser').click();
    await paint([300, 100], [400, 100]);
    await page.getByText('Upscale', { exact: true }).click();
    await page.getByLabel('Upscaler').selectOption('Nearest');
    await page.getByLabel('Resize', { exact: true }).fill('1.5');
    const made = await make('Enlarge the picture');
    expect([made.width, made.height]).toEqual([768, 768]);
    expect(pixel(made, 225, 150)).toEqual([0xc0, 0x20, 0x20]);
    expect(pixel(made, 570, 150)).toEqual([255, 255, 255]);
    expect(pixel(made, 225, 600)).toEqual([255, 255, 255]);
  });

  it('paints by keyboard, inverts and clears, and keeps the painting over a reload', async () => {
    await button('Begin with a blank canvas').click();
    await canvas().focus();
    await page.keyboard.press(']');
    await expect
      .poll(() => page.getByRole('slider', { name: 'Brush size' }).inputValue())
      .toBe('77');
    await page.keyboard.press('[');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    const stamped = await layer('mask');
    expect(pixel(stamped, 256 + 31, 256)).not.toEqual([0, 0, 0]);
    expect(pixel(stamped, 10, 10)).toEqual([0, 0, 0]);

    await button('Invert mask').click();
    const inverted = await layer('mask');
    expect(pixel(inverted, 256 + 31, 256)).toEqual([0, 0, 0]);
    expect(pixel(inverted, 10, 10)).not.toEqual([0, 0, 0]);
    await page.keyboard.press('Control+z');
    await expect.poll(async () => differences(stamped, await layer('mask')).length).toBe(0);

    await button('Colour').click();
    await setBrush(40);
    await paint([50, 400], [450, 400]);
    const painted = await layer('paint');
    await isKept();
    await page.reload();
    await canvas().waitFor();
    expect(differences(stamped, await layer('mask'))).toEqual([]);
    expect(differences(painted, await layer('paint'))).toEqual([]);
    expect(await button('Clear mask').isEnabled()).toBe(true);
    await button('Clear mask').click();
    expect(await page.getByLabel('Mask blur').count()).toBe(0);
  });

  it('takes a picture from Create, and says what is wrong with a file that is none', async () => {
    await page.goto(`${host.url}?device=wasm#create`);
    await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('a fox');
    await page.getByLabel('Steps', { exact: true }).fill('2');
    await button('Generate').click();
    await button('Send to Edit').click({ timeout: 120_000 });
    await expect.poll(async () => (await layer('picture')).width).toBe(512);
    const sent = await layer('picture');
    // A picture that is dropped anywhere in the window takes its place; one undo brings it back.
    await page.evaluate(async () => {
      const drawn = Object.assign(document.createElement('canvas'), { width: 96, height: 64 });
      drawn.getContext('2d')?.fillRect(0, 0, 96, 64);
      const file = await new Promise<Blob | null>((resolve) => drawn.toBlob(resolve));
      const data = new DataTransfer();
      data.items.add(new File([file ?? ''], 'dropped.png', { type: 'image/png' }));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
    });
    await expect.poll(async () => (await layer('picture')).width).toBe(96);
    await button('Undo').click();
    await expect.poll(async () => (await layer('picture')).width).toBe(512);
    const [chooser] = await Promise.all([
      page.waitForEvent('filechooser'),
      button('choose a file').click(),
    ]);
    await chooser.setFiles({ name: 'a.png', mimeType: 'image/png', buffer: Buffer.from('no') });
    await page.getByRole('alert').filter({ hasText: 'no picture' }).waitFor();
    expect(differences(sent, await layer('picture'))).toEqual([]);
  });
});
