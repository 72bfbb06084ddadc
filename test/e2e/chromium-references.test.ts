import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { describeReferences } from '../compiler/lib/family-suite.ts';
import { folderFiles, MODELS } from '../compiler/lib/files.ts';
import { lcmErrors } from '../compiler/lib/lcm.ts';
import { replaceFolder } from '../compiler/lib/overlay.ts';
import { type GraphPage, openGraphPage } from './support/graph-page.ts';
import {
  checkControlnet,
  checkEmbedding,
  checkLora,
  checkTaesd,
  checkUpscaler,
  checkVaeFile,
  type PartRun,
} from './support/part-references.ts';

let page: GraphPage;
beforeAll(async () => {
  page = await openGraphPage('wasm');
});
afterAll(() => page?.close());

const run: GraphPage['run'] = (...what) => page.run(...what);
const folder = (name: string) => folderFiles(join(MODELS, name));
const open = (name: string) => async () => openCheckpoint(await folder(name));
const openInpainting = async () =>
  openCheckpoint(
    replaceFolder(await folder('sd15-tiny'), 'unet', await folder('sd15-inpaint-tiny/unet')),
  );

// Every case of the references, each within its own tolerance, in Chromium and through the engine's runtime.
await describeReferences('SD 1 in Chromium', 'sd15-tiny', open('sd15-tiny'), { run });
await describeReferences('SD 2 in Chromium', 'sd2-tiny', open('sd2-tiny'), { run });
await describeReferences('SDXL in Chromium', 'sdxl-tiny', open('sdxl-tiny'), { run });
await describeReferences('an inpainting UNet in Chromium', 'sd15-inpaint-tiny', openInpainting, {
  only: ['unet'],
  run,
});

describe('in Chromium', () => {
  const part = (): PartRun => ({ page, factor: 1 });

  it('an LCM UNet', async () => {
    for (const error of await lcmErrors(run)) expect(error).toBeLessThanOrEqual(1);
  });
  it('a VAE file, both ways', () => checkVaeFile(part()));
  it('TAESD, both ways', () => checkTaesd(part()));
  it('an ESRGAN upscaler', () => checkUpscaler(part()));
  it('a ControlNet and the UNet it steers', () => checkControlnet(part()));
  it.each([
    ['sd15-kohya', 'sd15-tiny'],
    ['sd15-locon', 'sd15-tiny'],
    ['sd15-loha', 'sd15-tiny'],
    ['sd15-lokr', 'sd15-tiny'],
    ['sd15-peft', 'sd15-tiny'],
    ['sdxl-kohya', 'sdxl-tiny'],
  ])('the LoRA %s', (name, model) => checkLora(name, model, part()));
  it.each([
    ['sd15-ti', 'sd15-tiny'],
    ['sdxl-ti', 'sdxl-tiny'],
  ])('the embedding %s', (name, model) => checkEmbedding(name, model, part()));
});
