import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildGraph } from '../../web/compiler/build-graph.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { hasParts, weightBytes } from '../../web/compiler/component.ts';
import type { ModelFiles, Precision } from '../../web/compiler/model.ts';
import { residualShapes } from '../../web/compiler/models/controlnet.ts';
import type { UnetConfig } from '../../web/compiler/models/unet.ts';
import { decodeModel } from '../../web/compiler/onnx/decode.ts';
import { folderFiles, MODELS } from './lib/files.ts';
import { lcmFolder } from './lib/lcm.ts';
import { replaceFolder } from './lib/overlay.ts';
import {
  component,
  type Feeds,
  f32,
  MemorySink,
  maxDifference,
  runComponent,
  runInParts,
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

async function compiledUnet(files: ModelFiles, precision: Precision = 'fp32') {
  const sink = new MemorySink();
  const checkpoint = await openCheckpoint(files);
  const options = { precision, sink, components: ['unet'] } as const;
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
      const parts = await runInParts(unet, sink, shape, feeds, { control, texts });
      for (const { out_sample: answer } of [knowing, parts]) {
        expect(maxDifference(answer!.data, plain.out_sample!.data)).toBeLessThan(1e-5 * largest);
      }
    },
  );
});

describe('a UNet in two parts', () => {
  const size = { batch: 2, latentHeight: 8, latentWidth: 8, tokens: 77 };

  it.each([
    ['sd15-tiny', 'fp16', () => folder('sd15-tiny')],
    ['sd2-tiny', 'fp16', () => folder('sd2-tiny')],
    ['sdxl-tiny', 'fp16', () => folder('sdxl-tiny')],
    ['sdxl-tiny', 'q8', () => folder('sdxl-tiny')],
    ['sd2-tiny', 'q4', () => folder('sd2-tiny')],
    ['LCM', 'fp32', lcmFolder],
  ] as const)('%s in %s: the same as whole', async (_, precision, files) => {
    const { unet, sink, config } = await compiledUnet(await files(), precision);
    const feeds: Feeds = {
      sample: repeated(noise(1, [1, config.inChannels, 8, 8]), 2),
      timestep: f32([321.5, 321.5], [2]),
      encoder_hidden_states: noise(2, [2, 77, config.contextSize]),
    };
    if (config.timestepCondSize) feeds.timestep_cond = noise(3, [2, config.timestepCondSize]);
    if (config.textTime) {
      feeds.text_embeds = noise(4, [2, config.textTime.textEmbedsSize]);
      feeds.time_ids = f32(Array<number>(12).fill(96), [2, 6]);
    }
    const whole = await runComponent(unet, sink, size, feeds, { texts: 2 });
    const parts = await runInParts(unet, sink, size, feeds, { texts: 2 });
    const largest = Math.max(...whole.out_sample!.data.map(Math.abs));
    const limit = precision === 'fp16' ? 5e-3 : 1e-5;
    expect(maxDifference(parts.out_sample!.data, whole.out_sample!.data)).toBeLessThan(
      limit * largest,
    );
  });

  it.each(['fp32', 'q8'] as const)('no weight in %s belongs to both', async (precision) => {
    const { unet } = await compiledUnet(await folder('sdxl-tiny'), precision);
    expect(hasParts(unet)).toBe(true);
    const stored = (part: 'context' | 'steps') =>
      decodeModel(buildGraph(unet, size, { part }).onnx)
        .initializers.filter(({ data }) => data.type === 'external')
        .map(({ name }) => name);
    const [ofContext, ofSteps] = [stored('context'), stored('steps')];
    expect(ofContext).toContain('mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight');
    expect(ofContext.filter((name) => ofSteps.includes(name))).toEqual([]);
    expect([...ofContext, ...ofSteps].toSorted()).toEqual(Object.keys(unet.weights).toSorted());
    const sizes = ofContext.map((name) => unet.weights[name]!.sizeBytes);
    expect(weightBytes(unet, 'context')).toBe(sizes.reduce((sum, bytes) => sum + bytes, 0));
    expect(weightBytes(unet, 'context') + weightBytes(unet, 'steps')).toBe(weightBytes(unet));
  });

  it('the part of the texts reads its own weights and no other byte of a shard', async () => {
    const { unet } = await compiledUnet(await folder('sd15-tiny'));
    const { pieces = [], shardPaths } = buildGraph(unet, size, { part: 'context' });
    expect(shardPaths).toHaveLength(pieces.length);
    const read = pieces.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    expect(read).toBe(weightBytes(unet, 'context'));
  });
});
