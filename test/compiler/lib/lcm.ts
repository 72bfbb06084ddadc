import { join } from 'node:path';
import { openCheckpoint } from '../../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../../web/compiler/compile.ts';
import type { ModelFiles } from '../../../web/compiler/model.ts';
import { folderFiles, MODELS } from './files.ts';
import { extendFolder } from './overlay.ts';
import { readReferences } from './references.ts';
import { component, f32, MemorySink, maxDifference, type runComponent } from './runtime.ts';

const CHANNELS = 32;
export const CONDITIONS = 4;

/** What diffusers' `Timesteps(32, flip_sin_to_cos=True, 0)` gives. */
function sinusoid(timestep: number): number[] {
  const half = CHANNELS / 2;
  const angle = (index: number) => timestep * 10000 ** (-index / half);
  return Array.from({ length: CHANNELS }, (_, index) =>
    index < half ? Math.cos(angle(index)) : Math.sin(angle(index - half)),
  );
}

/**
 * sd15-tiny with a guidance embedding made so that its first component turns timestep 1 into 999: the
 * embedding is added to the sinusoids, and their difference is its first column.
 */
export async function lcmFolder(): Promise<ModelFiles> {
  const weight = new Float32Array(CHANNELS * CONDITIONS);
  const [from, to] = [sinusoid(1), sinusoid(999)];
  for (let row = 0; row < CHANNELS; row++) weight[row * CONDITIONS] = to[row]! - from[row]!;
  return extendFolder(
    await folderFiles(join(MODELS, 'sd15-tiny')),
    { path: 'unet/config.json', fields: { time_cond_proj_dim: CONDITIONS } },
    {
      path: 'unet/diffusion_pytorch_model.safetensors',
      tensors: {
        'time_embedding.cond_proj.weight': {
          dtype: 'F32',
          shape: [CHANNELS, CONDITIONS],
          bytes: new Uint8Array(weight.buffer),
        },
      },
    },
  );
}

/** How many times its tolerance each of two conditions is off: 0 gives timestep 1, 1 gives timestep 999. */
export async function lcmErrors(run: typeof runComponent): Promise<number[]> {
  const references = await readReferences('sd15-tiny');
  const sink = new MemorySink();
  const checkpoint = await openCheckpoint(await lcmFolder());
  const options = { precision: 'fp32', sink, components: ['unet'] } as const;
  const unet = component(await compileCheckpoint(checkpoint, options), 'unet');
  const sample = references.tensor('unet.sample.2x16x16');
  const context = references.tensor('unet.context.2x77');
  const errors: number[] = [];
  for (const [turned, name] of [
    [0, 'unet.t1.out'],
    [1, 'unet.t999.out'],
  ] as const) {
    const condition = [turned, 7, 7, 7];
    const feeds = {
      sample: f32(sample.data, sample.shape),
      timestep: f32([1, 1], [2]),
      encoder_hidden_states: f32(context.data, context.shape),
      timestep_cond: f32([...condition, ...condition], [2, CONDITIONS]),
    };
    const size = { batch: 2, latentHeight: 16, latentWidth: 16, tokens: 77 };
    const { out_sample } = await run(unet, sink, size, feeds);
    const difference = maxDifference(out_sample!.data, references.tensor(name).data);
    errors.push(difference / references.tolerance(name));
  }
  return errors;
}
