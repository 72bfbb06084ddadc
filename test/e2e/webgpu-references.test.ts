import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { buildGraph } from '../../web/compiler/build-graph.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { hasParts } from '../../web/compiler/component.ts';
import { type ComponentName, graphData, type Precision } from '../../web/compiler/model.ts';
import { GraphBuilder } from '../../web/compiler/onnx/graph-builder.ts';
import { describeReferences } from '../compiler/lib/family-suite.ts';
import { folderFiles, MODELS } from '../compiler/lib/files.ts';
import { lcmErrors } from '../compiler/lib/lcm.ts';
import { replaceFolder } from '../compiler/lib/overlay.ts';
import { readReferences } from '../compiler/lib/references.ts';
import {
  component,
  f32,
  i32,
  MemorySink,
  maxDifference,
  runComponent,
  runInParts,
} from '../compiler/lib/runtime.ts';
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

/** What the promise allows WebGPU over the references' own tolerance. */
const FACTOR = 4;

let page: GraphPage;
beforeAll(async () => {
  page = await openGraphPage('webgpu');
});
afterAll(() => page?.close());

const run: GraphPage['run'] = (...what) => page.run(...what);
const folder = (name: string) => folderFiles(join(MODELS, name));
const open = (name: string) => async () => openCheckpoint(await folder(name));
const openInpainting = async () =>
  openCheckpoint(
    replaceFolder(await folder('sd15-tiny'), 'unet', await folder('sd15-inpaint-tiny/unet')),
  );
/**
 * A software adapter is slow: each graph of its own kind once. `chromium-references` has every case on wasm;
 * `EASEL_ALL_REFERENCES=1` runs every case here too, in some 20 minutes.
 */
const isComplete = process.env.EASEL_ALL_REFERENCES === '1';
if (isComplete) vi.setConfig({ testTimeout: 1_800_000 });
const among =
  (...names: string[]) =>
  (name: string) =>
    isComplete || names.includes(name);

await describeReferences('SD 1 on a software adapter', 'sd15-tiny', open('sd15-tiny'), {
  run,
  factor: FACTOR,
  wants: among(
    ...['text', 'unet.tmixed', 'unet.t500.ctx154', 'unet.t500.20x12'],
    ...['vae.encode.96x64', 'vae.decode.64x64'],
  ),
});
await describeReferences('SD 2 on a software adapter', 'sd2-tiny', open('sd2-tiny'), {
  run,
  factor: FACTOR,
  wants: among('unet.t500.18x14'),
});
await describeReferences('SDXL on a software adapter', 'sdxl-tiny', open('sdxl-tiny'), {
  run,
  factor: FACTOR,
  wants: among('context', 'unet.t500.18x14'),
});
await describeReferences('inpainting on a software adapter', 'sd15-inpaint-tiny', openInpainting, {
  only: ['unet'],
  run,
  factor: FACTOR,
  wants: among('unet.t500'),
});

describe('on a software adapter', () => {
  const part = (...cases: string[]): PartRun => ({
    page,
    factor: FACTOR,
    ...(cases.length > 0 && !isComplete ? { cases } : {}),
  });

  it('an LCM UNet', async () => {
    for (const error of await lcmErrors(run)) expect(error).toBeLessThanOrEqual(FACTOR);
  });
  it('a VAE file in the place of the own one', () => checkVaeFile(part('vae.decode.64x64')));
  it('TAESD', () => checkTaesd(part('taesd.encode.64x64', 'taesd.decode.64x64')));
  it('an ESRGAN upscaler', () => checkUpscaler(part('13x9')));
  it('a ControlNet and the UNet it steers', () => checkControlnet(part('16x16')));
  it.each([
    ['sd15-lokr', 'sd15-tiny', 'unet.0.6'],
    ['sdxl-kohya', 'sdxl-tiny', 'text_encoder_2.1'],
    ...(isComplete
      ? ['sd15-kohya', 'sd15-locon', 'sd15-loha', 'sd15-peft'].map((name) => [
          name,
          'sd15-tiny',
          'all',
        ])
      : []),
  ] as [string, string, string][])('the LoRA %s on %s: %s', (name, model, name_) =>
    checkLora(name, model, part(name_)),
  );
  it('embeddings', async () => {
    await checkEmbedding('sd15-ti', 'sd15-tiny', part());
    await checkEmbedding('sdxl-ti', 'sdxl-tiny', part());
  });
});

/** One UNet, the rows of each latent alike, under two texts; and the text encoder of its first encoder. */
async function prepare(name: string, precision: Precision, parts: readonly ComponentName[]) {
  const sink = new MemorySink();
  const options = { precision, sink, components: parts };
  const model = await compileCheckpoint(await open(name)(), options);
  const references = await readReferences(name);
  const of = (tensor: string) => {
    const { data, shape } = references.tensor(tensor);
    return f32(data, shape);
  };
  return { sink, model, references, of };
}

async function guidedUnet(name: string, precision: Precision) {
  const { sink, model, of, references } = await prepare(name, precision, ['unet']);
  const row = references.tensor('unet.sample.2x16x16').data.slice(0, 4 * 16 * 16);
  const feeds = {
    sample: f32([...row, ...row], [2, 4, 16, 16]),
    timestep: f32([421.7, 421.7], [2]),
    encoder_hidden_states: of('unet.context.2x77'),
    ...(name === 'sdxl-tiny'
      ? { text_embeds: of('unet.text_embeds.2'), time_ids: of('unet.time_ids.2') }
      : {}),
  };
  const shape = { batch: 2, latentHeight: 16, latentWidth: 16, tokens: 77 };
  return { unet: component(model, 'unet'), sink, shape, feeds };
}

describe('what one step runs on a software adapter', () => {
  it.each([
    ['sd15-tiny', 'fp32'],
    ['sd2-tiny', 'q8'],
    ['sdxl-tiny', 'q4'],
  ] as const)(
    '%s in %s, in two parts and under two texts, gives what wasm gives row by row in it',
    async (name, precision) => {
      const { unet, sink, shape, feeds } = await guidedUnet(name, precision);
      const onWasm = await runComponent(unet, sink, shape, feeds);
      const largest = Math.max(...onWasm.out_sample!.data.map(Math.abs));
      const inParts = await runInParts(unet, sink, shape, feeds, { texts: 2 }, page.run);
      const difference = maxDifference(inParts.out_sample!.data, onWasm.out_sample!.data);
      // The processor's kernels of MatMulNBits round the activations to eight bits; the GPU's do not.
      const limit = precision === 'fp32' ? 1e-4 : 2e-2;
      expect(difference / largest).toBeLessThan(limit);
    },
  );

  it('takes what was made of the texts by a session that is gone', async () => {
    const { unet, sink, shape, feeds } = await guidedUnet('sdxl-tiny', 'fp32');
    const { sample, timestep, ...texts } = feeds as Record<string, ReturnType<typeof f32>>;
    const steps = { sample: sample!, timestep: timestep! };
    const inTurn = await page.runInTurn(unet, sink, shape, { context: texts, steps });
    const whole = await runComponent(unet, sink, shape, feeds);
    const largest = Math.max(...whole.out_sample!.data.map(Math.abs));
    const difference = maxDifference(inTurn.out_sample!.data, whole.out_sample!.data);
    expect(difference / largest).toBeLessThan(1e-4);
  });

  it('a token table in pieces gives the same states as in one', async () => {
    const { sink, model, references } = await prepare('sd15-tiny', 'fp32', ['text_encoder']);
    const encoder = component(model, 'text_encoder');
    const ids = references.cases.find((c) => c.component === 'text_encoder')!.inputs.input_ids!;
    const { data, shape } = references.tensor(ids);
    const size = { batch: shape[0]!, tokens: shape[1]!, latentHeight: 1, latentWidth: 1 };
    const feeds = { input_ids: i32(data, shape) };
    const whole = await runComponent(encoder, sink, size, feeds);
    const pieces = await page.run(encoder, sink, size, feeds, { maxBindingBytes: 2 ** 21 });
    const difference = maxDifference(pieces.hidden_states!.data, whole.hidden_states!.data);
    expect(difference).toBeLessThan(1e-4);
  });
});

describe('a WebGPU session', () => {
  const shape = { batch: 2, latentHeight: 16, latentWidth: 16, tokens: 77 };

  it.each(['sd15-tiny', 'sd2-tiny', 'sdxl-tiny'])(
    'has no node of %s on the processor, in any component',
    async (name) => {
      const sink = new MemorySink();
      const checkpoint = await open(name)();
      const { components } = await compileCheckpoint(checkpoint, { precision: 'fp32', sink });
      for (const compiled of components) {
        const parts = hasParts(compiled) ? (['context', 'steps'] as const) : [];
        for (const part of [undefined, ...parts]) {
          const rows = { provider: 'webgpu', texts: 2 } as const;
          const graph = buildGraph(compiled, shape, { ...rows, ...(part ? { part } : {}) });
          const shards = graphData(graph, sink.bytes(compiled.name));
          await page.openOnGpuAlone({ ...graph, shards });
        }
      }
    },
  );

  it('would say so if there were one', async () => {
    const g = new GraphBuilder('determinant');
    const x = g.input('x', 'float32', [2, 2]);
    g.output('y', g.op('Det', [x], { dtype: 'float32', shape: [] }));
    await expect(page.openOnGpuAlone({ onnx: g.encode() })).rejects.toThrow(/graph capture/);
  });
});
