import { beforeAll, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { CompiledModel } from '../../web/compiler/model.ts';
import { settlePrediction } from '../../web/engine/prediction-trial.ts';
import type { Runtime } from '../../web/engine/runtime/runtime.ts';
import { component, f32, MemorySink, runComponent } from '../compiler/lib/runtime.ts';
import { singleFile } from '../compiler/lib/single-file.ts';
import { nodeRuntime } from '../fakes/engine-access.ts';

const sink = new MemorySink();
let compiled: CompiledModel;

beforeAll(async () => {
  const checkpoint = await openCheckpoint(singleFile('sd2-tiny'));
  const options = { precision: 'fp32', sink, components: ['unet'] } as const;
  const model = await compileCheckpoint(checkpoint, options);
  const notes = ['assumed'];
  const assumed = { isPredictionAssumed: true, nativeResolution: 768, notes };
  compiled = { ...model, description: { ...model.description, ...assumed } };
});

const shardsOf = async () => sink.bytes('unet').map((bytes) => new Blob([Buffer.from(bytes)]));

/** A runtime whose UNet answers with one value everywhere. */
function answering(value: number): Runtime & { feeds: Record<string, unknown>[] } {
  const real = nodeRuntime();
  const feeds: Record<string, unknown>[] = [];
  return Object.assign(Object.create(real) as Runtime, {
    device: real.device,
    feeds,
    tensor: real.tensor.bind(real),
    async openSession() {
      return {
        async run(given: Record<string, unknown>) {
          feeds.push(given);
          return { out_sample: real.tensor(new Float32Array(256).fill(value), [1, 4, 8, 8]) };
        },
        release: async () => {},
      };
    },
  });
}

describe('what the UNet of an SD 2 checkpoint predicts, found by running it', () => {
  test.each([
    [-0.51, 'v_prediction', 768, 'said v.'],
    [-0.49, 'epsilon', 512, 'said epsilon.'],
  ])('a mean answer of %f to latents of 0.5 is %s', async (value, type, resolution, note) => {
    const runtime = answering(value);
    const description = await settlePrediction(compiled, { runtime, shardsOf });
    expect(description).toMatchObject({
      predictionType: type,
      isPredictionAssumed: false,
      nativeResolution: resolution,
      notes: [expect.stringContaining(note)],
    });
    expect(runtime.feeds).toHaveLength(1);
  });

  test('the UNet is really run, on latents and text of 0.5 at timestep 999', async () => {
    const half = (count: number) => new Float32Array(count).fill(0.5);
    const { out_sample: answer } = await runComponent(
      component(compiled, 'unet'),
      sink,
      { batch: 1, latentHeight: 8, latentWidth: 8, tokens: 2 },
      {
        sample: f32(half(256), [1, 4, 8, 8]),
        timestep: f32([999], [1]),
        encoder_hidden_states: f32(half(32), [1, 2, 16]),
      },
    );
    const mean = answer!.data.reduce((sum, each) => sum + each, 0) / 256;
    const { predictionType } = await settlePrediction(compiled, {
      runtime: nodeRuntime(),
      shardsOf,
    });
    expect(predictionType).toBe(mean - 0.5 < -1 ? 'v_prediction' : 'epsilon');
  });

  test('nothing is run where the files say it', async () => {
    const runtime = answering(0);
    const stated = {
      ...compiled,
      description: { ...compiled.description, isPredictionAssumed: false },
    };
    expect(await settlePrediction(stated, { runtime, shardsOf })).toBe(stated.description);
    expect(runtime.feeds).toHaveLength(0);
  });
});
