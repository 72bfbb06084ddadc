import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { ModelFiles } from '../../web/compiler/model.ts';
import { residualShapes } from '../../web/compiler/models/controlnet.ts';
import type { UnetConfig } from '../../web/compiler/models/unet.ts';
import { folderFiles, MODELS } from './lib/files.ts';
import { replaceFolder } from './lib/overlay.ts';
import {
  component,
  type Feeds,
  f32,
  MemorySink,
  maxDifference,
  runComponent,
} from './lib/runtime.ts';

const folder = (name: string) => folderFiles(join(MODELS, name));
const inpainting = async () =>
  replaceFolder(await folder('sd15-tiny'), 'unet', await folder('sd15-inpaint-tiny/unet'));

/** Numbers without a pattern that two places could share. */
function noise(seed: number, shape: readonly number[]) {
  const size = shape.reduce((product, side) => product * side, 1);
  return f32(
    Float32Array.from({ length: size }, (_, index) => Math.sin(12.9898 * index + 78.233 * seed)),
    shape,
  );
}

/** The same rows `times` over. */
function repeated(tensor: ReturnType<typeof f32>, times: number) {
  const values = [...(tensor.data as Float32Array)];
  const [rows = 1, ...rest] = tensor.dims;
  return f32(Array.from({ length: times }, () => values).flat(), [times * rows, ...rest]);
}

async function compiledUnet(files: ModelFiles) {
  const sink = new MemorySink();
  const checkpoint = await openCheckpoint(files);
  const options = { precision: 'fp32', sink, components: ['unet'] } as const;
  const unet = component(await compileCheckpoint(checkpoint, options), 'unet');
  return { unet, sink, config: unet.config as unknown as UnetConfig };
}

describe.each([
  ['SD 1', () => folder('sd15-tiny')],
  ['SD 2', () => folder('sd2-tiny')],
  ['SDXL', () => folder('sdxl-tiny')],
  ['inpainting', inpainting],
] as const)('a UNet that knows its rows: %s', (_, files) => {
  it.each([
    [1, 1, false],
    [1, 2, false],
    [2, 2, false],
    [2, 2, true],
  ])(
    '%i pictures under %i texts, ControlNet %s: the same as row by row',
    async (pictures, texts, control) => {
      const { unet, sink, config } = await compiledUnet(await files());
      const batch = pictures * texts;
      const [latentHeight, latentWidth] = [16, 12];
      const feeds: Feeds = {
        sample: repeated(noise(1, [pictures, config.inChannels, latentHeight, latentWidth]), texts),
        timestep: f32(Array<number>(batch).fill(321.5), [batch]),
        encoder_hidden_states: noise(2, [batch, 77, config.contextSize]),
      };
      if (config.textTime) {
        feeds.text_embeds = noise(3, [batch, config.textTime.textEmbedsSize]);
        feeds.time_ids = f32(Array<number>(batch * 6).fill(96), [batch, 6]);
      }
      if (control) {
        const shapes = residualShapes(config, latentHeight, latentWidth);
        for (const [index, shape] of shapes.entries()) {
          const name = index === shapes.length - 1 ? 'control_mid' : `control_down_${index}`;
          feeds[name] = noise(4 + index, [batch, ...shape]);
        }
      }
      const shape = { batch, latentHeight, latentWidth, tokens: 77 };
      const plain = await runComponent(unet, sink, shape, feeds, { control });
      const knowing = await runComponent(unet, sink, shape, feeds, { control, texts });
      expect(knowing.out_sample!.dims).toEqual(plain.out_sample!.dims);
      const largest = Math.max(...plain.out_sample!.data.map(Math.abs));
      expect(maxDifference(knowing.out_sample!.data, plain.out_sample!.data)).toBeLessThan(
        1e-5 * largest,
      );
    },
  );
});
