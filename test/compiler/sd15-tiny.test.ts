import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Checkpoint, openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { CompiledModel } from '../../web/compiler/model.ts';
import { folderFiles, MODELS } from './lib/files.ts';
import { type ReferenceCase, type References, readReferences } from './lib/references.ts';
import { component, f32, i32, MemorySink, maxDifference, runComponent } from './lib/runtime.ts';

const references: References = await readReferences('sd15-tiny');
const cases = (name: string): ReferenceCase[] =>
  references.cases.filter((candidate) => candidate.component === name);

let checkpoint: Checkpoint;
let model: CompiledModel;
const sink = new MemorySink();

beforeAll(async () => {
  checkpoint = await openCheckpoint(await folderFiles(join(MODELS, 'sd15-tiny')));
  model = await compileCheckpoint(checkpoint, { precision: 'fp32', sink });
});

function expectClose(found: ArrayLike<number>, name: string): void {
  const expected = references.tensor(name);
  expect(maxDifference(found, expected.data)).toBeLessThanOrEqual(references.tolerance(name));
}

describe('text encoder against transformers', () => {
  it.each([1, 2, 3, 4])('clip skip %i and the pooled state', async (clipSkip) => {
    for (const { inputs, outputs } of cases('text_encoder')) {
      const { data, shape } = references.tensor(inputs.input_ids!);
      const [batch = 0, tokens = 0] = shape;
      const result = await runComponent(
        component(model, 'text_encoder'),
        sink,
        { batch, tokens, latentHeight: 1, latentWidth: 1 },
        { input_ids: i32(data, shape) },
        { clipSkip, pooled: true },
      );
      expectClose(result.hidden_states!.data, outputs[`clip_skip_${clipSkip}`]!);
      expectClose(result.pooled!.data, outputs.pooled!);
    }
  });

  it('gives the hidden states alone unless the pooled state is asked for', async () => {
    const [first] = cases('text_encoder');
    const { data, shape } = references.tensor(first!.inputs.input_ids!);
    const result = await runComponent(
      component(model, 'text_encoder'),
      sink,
      { batch: 4, tokens: 77, latentHeight: 1, latentWidth: 1 },
      { input_ids: i32(data, shape) },
      { clipSkip: 2 },
    );
    expect(Object.keys(result)).toEqual(['hidden_states']);
    expectClose(result.hidden_states!.data, first!.outputs.clip_skip_2!);
  });
});

describe('UNet against diffusers', () => {
  it.each(cases('unet').map((c) => [c.name, c] as const))('%s', async (_, { inputs, outputs }) => {
    const sample = references.tensor(inputs.sample!);
    const timestep = references.tensor(inputs.timestep!);
    const context = references.tensor(inputs.encoder_hidden_states!);
    const [batch = 0, , latentHeight = 0, latentWidth = 0] = sample.shape;
    const result = await runComponent(
      component(model, 'unet'),
      sink,
      { batch, latentHeight, latentWidth, tokens: context.shape[1]! },
      {
        sample: f32(sample.data, sample.shape),
        timestep: f32(timestep.data, timestep.shape),
        encoder_hidden_states: f32(context.data, context.shape),
      },
    );
    expectClose(result.out_sample!.data, outputs.sample!);
  });
});

describe('VAE against diffusers', () => {
  const vae = (argument: string) =>
    cases('vae')
      .filter(({ inputs }) => argument in inputs)
      .map((c) => [c.name, c] as const);

  it.each(vae('image'))('%s', async (_, { inputs, outputs }) => {
    const image = references.tensor(inputs.image!);
    const { vaeFactor } = model.description;
    const result = await runComponent(
      component(model, 'vae_encoder'),
      sink,
      {
        batch: image.shape[0]!,
        latentHeight: image.shape[2]! / vaeFactor,
        latentWidth: image.shape[3]! / vaeFactor,
        tokens: 1,
      },
      { sample: f32(image.data, image.shape) },
    );
    expectClose(result.latent_mean!.data, outputs.mean!);
    expectClose(result.latent_std!.data, outputs.std!);
  });

  it.each(vae('latent'))('%s', async (_, { inputs, outputs }) => {
    const { data, shape } = references.tensor(inputs.latent!);
    const { scalingFactor } = model.description;
    const result = await runComponent(
      component(model, 'vae_decoder'),
      sink,
      { batch: shape[0]!, latentHeight: shape[2]!, latentWidth: shape[3]!, tokens: 1 },
      {
        latents: f32(
          data.map((value) => value * scalingFactor),
          shape,
        ),
      },
    );
    expectClose(result.image!.data, outputs.image!);
  });
});
