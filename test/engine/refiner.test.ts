import { afterEach, describe, expect, test } from 'vitest';
import {
  GENERATION_DEFAULTS,
  type GenerationParams,
  hiresParams,
  type RefinerParams,
  refinerParams,
} from '../../protocol/generation.ts';
import { planJob } from '../../web/engine/job-plan.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { generate } from '../../web/engine/pipeline/generate.ts';
import type { FinishedPicture, PassName, PipelineJob } from '../../web/engine/pipeline/job.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { folderFiles } from '../fakes/file-source.ts';
import { createToyModel, type ToyModel } from '../fakes/toy-model.ts';

/** Another checkpoint that takes over on the way. */

const refiner = (change: Partial<RefinerParams> = {}) =>
  refinerParams.parse({ checkpoint: 'refiner', ...change });
const params = (change: Partial<GenerationParams>): GenerationParams => ({
  ...{ ...GENERATION_DEFAULTS, prompt: 'a [cat:dog:0.5]', width: 64, height: 64, seed: 5 },
  ...{ steps: 6, refiner: refiner(), ...change },
});

async function run(asked: GenerationParams, first: ToyModel, second: ToyModel) {
  const loads: PassName[] = [];
  const finished: FinishedPicture[] = [];
  const loadPass: PipelineJob['loadPass'] = async (pass) => {
    loads.push(pass);
    const model = pass === 'first' ? first : second;
    return { model, controlnets: [], title: 'refiner [0123456789]' };
  };
  await generate({
    ...{ params: asked, model: first, loadPass },
    control: { isInterrupted: () => false, isSkipped: () => false, beginBatch() {} },
    decodeImage: async () => ({
      width: 64,
      height: 64,
      data: new Uint8Array(64 * 64 * 4).fill(90),
    }),
    async finishImage(picture) {
      finished.push(picture);
      return {} as GeneratedImage;
    },
  });
  return { loads, finished, calls: [first.calls.length, second.calls.length] };
}

describe('a refiner', () => {
  test.each([
    [0, [0, 6]],
    [0.5, [3, 3]],
    [0.8, [5, 1]],
    [1, [6, 0]],
  ] as const)('by steps takes over at %d', async (switchAt, calls) => {
    const asked = params({ refiner: refiner({ switchAt, isBySteps: true }) });
    const found = await run(asked, createToyModel(), createToyModel());
    expect(found.calls).toEqual(calls);
  });

  test.each(['Euler', 'DPM++ 2M', 'Heun', 'DDIM', 'UniPC', 'LCM'] as const)(
    'of the same weights changes nothing with %s but who is asked, and reads prompts on where they are',
    async (sampler) => {
      const [first, second] = [createToyModel(), createToyModel()];
      const asked = params({ sampler, refiner: refiner({ switchAt: 0.4 }) });
      const { finished, calls } = await run(asked, first, second);
      expect(calls[0]).toBeGreaterThan(0);
      expect(calls[1]).toBeGreaterThan(0);
      const alone = createToyModel();
      const plain = await run({ ...asked, refiner: null }, alone, createToyModel());
      expect(finished[0]!.pixels).toEqual(plain.finished[0]!.pixels);
      expect([...first.calls, ...second.calls]).toEqual(alone.calls);
      // The last one's VAE decodes.
      expect([first.samples.length, second.samples.length]).toEqual([0, 1]);
    },
  );

  test('takes over at a share of the noise schedule’s times', async () => {
    const [first, second] = [createToyModel(), createToyModel()];
    const asked = params({ sampler: 'Euler', refiner: refiner({ switchAt: 0.4 }) });
    await run(asked, first, second);
    const { sampling } = planJob(asked, first.description);
    const times = [...first.calls, ...second.calls].map(({ timestep }) => timestep);
    expect(times).toHaveLength(sampling.steps);
    const isDue = (time: number) => (999 - Math.round(time)) / 1000 >= 0.4;
    expect(times.findIndex(isDue)).toBe(first.calls.length);
  });

  test('guides and decodes as it was trained', async () => {
    const second = createToyModel();
    const other = {
      ...second,
      description: { ...second.description, predictionType: 'v_prediction' as const },
    };
    const asked = params({ refiner: refiner({ switchAt: 0.5, isBySteps: true }) });
    const found = await run(asked, createToyModel(), other);
    const same = await run(asked, createToyModel(), createToyModel());
    expect(found.finished[0]!.pixels).not.toEqual(same.finished[0]!.pixels);
    expect(Object.entries(found.finished[0]!.extraParams).slice(-2)).toEqual([
      ['Refiner', 'refiner [0123456789]'],
      ['Refiner switch at', 0.5],
    ]);
  });

  test('leaves for the next batch', async () => {
    const asked = params({ batchCount: 2, refiner: refiner({ switchAt: 0.5, isBySteps: true }) });
    const found = await run(asked, createToyModel(), createToyModel());
    expect(found.loads).toEqual(['refiner', 'first', 'refiner']);
    expect(found.calls).toEqual([6, 6]);
  });

  test.each([
    ['second', ['refiner'], {}],
    ['first', ['refiner', 'first'], { 'Hires refiner': 'first pass' }],
    ['both', ['refiner', 'first', 'refiner'], { 'Hires refiner': 'both passes' }],
  ] as const)('with hires fix works in the %s pass', async (passes, loads, infotext) => {
    const hires = hiresParams.parse({ denoisingStrength: 0.99 });
    const asked = params({
      hires,
      refiner: refiner({ passes, switchAt: 0.5, isBySteps: true }),
    });
    const [first, second] = [createToyModel(), createToyModel()];
    const found = await run(asked, first, second);
    expect(found.loads).toEqual(loads);
    expect(found.finished[0]!.extraParams).toMatchObject(infotext);
    const alone = await run({ ...asked, refiner: null }, createToyModel(), createToyModel());
    expect(found.finished[0]!.pixels).toEqual(alone.finished[0]!.pixels);
    expect(second.samples).toHaveLength(passes === 'first' ? 0 : 1);
  });

  test('is refused where its latents are of another shape', async () => {
    const second = createToyModel();
    const model = { ...second, description: { ...second.description, latentChannels: 16 } };
    await expect(run(params({}), createToyModel(), model)).rejects.toThrow(
      'The refiner refiner [0123456789] has latents of another shape',
    );
  });
});

const engines: LocalEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

test('the engine changes to it within the steps, and is back at the next job', async () => {
  const folder = new URL('../fixtures/models/sd15-tiny', import.meta.url).pathname;
  const access = nodeAccess({
    beside: [{ ...folderFiles(folder, 'refiner'), kind: 'checkpoint' }],
  });
  const engine = createLocalEngine({ ...ENGINE_CONFIG, precision: 'fp32' }, access);
  engines.push(engine);
  const make = async (change: Partial<GenerationParams>) => {
    let infotext = '';
    const summary = await engine.generate(params({ steps: 4, ...change }), {
      onImage: (image) => {
        infotext = image.infotext;
      },
    });
    return { summary, infotext, pixels: access.pictures.at(-1)!.data };
  };
  const plain = await make({ refiner: null, checkpoint: 'sd15-tiny' });
  const refined = await make({ refiner: refiner({ switchAt: 0.5 }) });
  expect(refined.pixels).toEqual(plain.pixels);
  expect(refined.infotext).toMatch(
    /Model: sd15-tiny, .*Refiner: refiner \[[0-9a-f]{10}\], Refiner switch at: 0\.5/,
  );
  expect(refined.summary).toMatchObject({ checkpoint: 'sd15-tiny', notes: [] });
  const itself = await make({ refiner: refiner({ checkpoint: 'sd15-tiny' }) });
  expect(itself.infotext).not.toContain('Refiner');
  expect(itself.summary.checkpoint).toBe('sd15-tiny');
  await expect(make({ refiner: refiner({ checkpoint: 'gone' }) })).rejects.toThrow(
    'There is no checkpoint "gone"',
  );
  expect((await make({ refiner: null })).pixels).toEqual(plain.pixels);
});
