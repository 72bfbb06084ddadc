import { expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { REFINER, refinerFolder, uniform } from './lib/refiner.ts';
import {
  component,
  f32,
  MemorySink,
  maxDifference,
  runComponent,
  runInParts,
} from './lib/runtime.ts';

const floats = (text: string) =>
  new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer);

it('SDXL’s refiner has the second text encoder alone and is told of an aesthetic score', async () => {
  const { description, components } = await openCheckpoint(await refinerFolder());
  expect(description).toMatchObject({
    family: 'sdxl',
    unetInputs: { textEmbeds: 24, timeIds: 5, timestepCond: null },
    textEncoders: [{ component: 'text_encoder_2', states: { clipSkip: 2, finalNorm: false } }],
  });
  const names = components.map(({ name }) => name);
  expect(names).toEqual(['text_encoder_2', 'unet', 'vae_encoder', 'vae_decoder']);
});

it('gives what diffusers gives, whole and in two parts', async () => {
  const sink = new MemorySink();
  const model = await compileCheckpoint(await openCheckpoint(await refinerFolder()), {
    ...{ precision: 'fp32', sink, components: ['unet'] },
  });
  const row = Float32Array.from(uniform('sample', 4 * 16 * 16), (value) => 2 * Math.fround(value));
  const { timestep, time_ids, text_embeds, context, out, tolerance } = REFINER.case;
  const feeds = {
    sample: f32([...row, ...row], [2, 4, 16, 16]),
    timestep: f32([timestep, timestep], [2]),
    encoder_hidden_states: f32(floats(context), [2, 77, 24]),
    text_embeds: f32(floats(text_embeds), [2, 24]),
    time_ids: f32(time_ids.flat(), [2, 5]),
  };
  const shape = { batch: 2, latentHeight: 16, latentWidth: 16, tokens: 77 };
  const unet = component(model, 'unet');
  const whole = await runComponent(unet, sink, shape, feeds);
  expect(maxDifference(whole.out_sample!.data, [...floats(out)])).toBeLessThanOrEqual(tolerance);
  const parts = await runInParts(unet, sink, shape, feeds, { texts: 2 }, runComponent);
  expect(maxDifference(parts.out_sample!.data, [...floats(out)])).toBeLessThanOrEqual(tolerance);
});
