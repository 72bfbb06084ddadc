import { afterEach, describe, expect, test } from 'vitest';
import {
  GENERATION_DEFAULTS,
  type GenerationParams,
  type HiresParams,
  hiresParams,
} from '../../protocol/generation.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { generate } from '../../web/engine/pipeline/generate.ts';
import type { FinishedPicture, PipelineJob } from '../../web/engine/pipeline/job.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { folderFiles } from '../fakes/file-source.ts';
import { createToyModel } from '../fakes/toy-model.ts';

/** A second pass with a checkpoint of its own, and one whose first pass is a picture that is given. */

const SIZE = { width: 64, height: 64 };
const params = (hires: Partial<HiresParams>, change: Partial<GenerationParams> = {}) => ({
  ...{ ...GENERATION_DEFAULTS, ...SIZE, prompt: 'a cat', steps: 3, seed: 5, ...change },
  hires: hiresParams.parse({ denoisingStrength: 0.7, ...hires }),
});
const CONTROL = { isInterrupted: () => false, isSkipped: () => false, beginBatch() {} };

async function run(job: Pick<PipelineJob, 'params' | 'model' | 'loadPass' | 'loras'>) {
  const finished: FinishedPicture[] = [];
  const result = await generate({
    ...{ ...job, control: CONTROL },
    decodeImage: async () => ({ ...SIZE, data: new Uint8Array(64 * 64 * 4).fill(200) }),
    async finishImage(picture) {
      finished.push(picture);
      return {} as GeneratedImage;
    },
  });
  return { finished, result };
}

describe('a second pass with its own checkpoint', () => {
  test('samples on it, batch by batch, and says so', async () => {
    const [first, second] = [createToyModel(), createToyModel()];
    const loads: string[] = [];
    const loadPass: PipelineJob['loadPass'] = async (pass) => {
      loads.push(pass);
      return {
        model: pass === 'first' ? first : second,
        controlnets: [],
        title: 'other [0123456789]',
      };
    };
    const asked = params({ checkpoint: 'other' }, { batchCount: 2 });
    const { finished, result } = await run({ params: asked, model: first, loadPass });
    expect(loads).toEqual(['second', 'first', 'second']);
    expect([first.calls.length, second.calls.length]).toEqual([6, 6]);
    expect([first.samples.length, second.samples.length]).toEqual([0, 2]);
    expect(Object.entries(finished[0]!.extraParams)[0]).toEqual([
      'Hires checkpoint',
      'other [0123456789]',
    ]);
    expect(result.extraParams).toHaveProperty('Hires checkpoint');
    const same = createToyModel();
    const alone = await run({ params: params({}, { batchCount: 2 }), model: same });
    expect(finished.map(({ pixels }) => pixels)).toEqual(
      alone.finished.map(({ pixels }) => pixels),
    );
    expect(alone.result.extraParams).not.toHaveProperty('Hires checkpoint');
  });

  test('encodes enlarged pictures with it', async () => {
    const [first, second] = [createToyModel(), createToyModel()];
    let encodes = 0;
    const counting = {
      ...second,
      encodeImage(...args: Parameters<typeof second.encodeImage>) {
        encodes += 1;
        return second.encodeImage(...args);
      },
    };
    const loadPass = async () => ({ model: counting, controlnets: [], title: 'other' });
    const asked = params({ checkpoint: 'other', upscaler: 'Lanczos' });
    await run({ params: asked, model: first, loadPass });
    expect([first.samples.length, encodes]).toEqual([1, 1]);
  });

  test('is refused where its latents are of another shape', async () => {
    const [first, second] = [createToyModel(), createToyModel()];
    const description = { ...second.description, vaeFactor: 4 };
    const model = { ...second, description };
    const loadPass = async () => ({ model, controlnets: [], title: 'other [01]' });
    const asked = params({ checkpoint: 'other' });
    await expect(run({ params: asked, model: first, loadPass })).rejects.toThrow(
      'The checkpoint other [01] has latents of another shape',
    );
  });
});

describe('a second pass whose prompt names other LoRAs', () => {
  const used = (name: string) => [{ name, shortHash: `hash of ${name}` }];
  const tagged = { prompt: 'a cat <lora:one:1>' };

  test('has them in its weights, and the first pass has its own again in the next batch', async () => {
    const [plain, other] = [createToyModel(), createToyModel()];
    const loads: string[] = [];
    const loadPass: PipelineJob['loadPass'] = async (pass, prompts) => {
      loads.push(`${pass} for ${prompts}`);
      return {
        ...{ model: pass === 'first' ? plain : other, controlnets: [], title: 'same [01]' },
        loras: used(pass === 'first' ? 'one' : 'two'),
      };
    };
    const asked = params({ prompt: 'a cat <lora:two:1>' }, { ...tagged, batchCount: 2 });
    const job = { params: asked, model: plain, loadPass, loras: used('one') };
    const { finished } = await run(job);
    expect(loads).toEqual(['second for second', 'first for first', 'second for second']);
    expect([plain.calls.length, other.calls.length]).toEqual([6, 6]);
    for (const { extraParams } of finished) {
      expect(extraParams['Lora hashes']).toBe('one: hash of one, two: hash of two');
      // The checkpoint is the same.
      expect(extraParams).not.toHaveProperty('Hires checkpoint');
    }
  });

  test.each([
    [false, 2, 1],
    [true, 2, 0],
  ])(
    'reads its texts with the first pass’s LoRAs where it is told to: %s',
    async (usesFirstTexts, before, after) => {
      const counted = () => {
        const model = createToyModel();
        const reads: string[] = [];
        const encodeTexts: typeof model.encodeTexts = (group, clipSkip) => {
          reads.push(...group.texts);
          return model.encodeTexts(group, clipSkip);
        };
        return { reads, model: { ...model, encodeTexts } };
      };
      const [plain, other] = [counted(), counted()];
      const loadPass = async () => ({ model: other.model, controlnets: [], title: 'same [01]' });
      const asked = params({ prompt: 'a dog <lora:two:1>', usesFirstTexts }, tagged);
      const { finished } = await run({ params: asked, model: plain.model, loadPass });
      expect(finished).toHaveLength(1);
      const dogs = (reads: readonly string[]) =>
        reads.filter((text) => text.includes('dog')).length;
      expect([dogs(plain.reads) > 0, dogs(other.reads)]).toEqual([before > 0, after]);
      // The UNet is the second pass's in any case, and makes the same of the same texts.
      const same = await run({
        params: params({ prompt: 'a dog <lora:two:1>' }, tagged),
        model: createToyModel(),
        loadPass,
      });
      expect(finished[0]!.pixels).toEqual(same.finished[0]!.pixels);
    },
  );

  test.each([
    ['the same tags in another text', 'a dog <lora:one:1>', true],
    ['no prompt of its own', null, true],
    ['other tags that load nothing', 'a cat', false],
  ])('loads nothing with %s', async (_, prompt, usesNetworks) => {
    const loadPass = async (): Promise<never> => {
      throw new Error('nothing is to be loaded');
    };
    const asked = params({ prompt }, { ...tagged, usesNetworks });
    const { finished } = await run({ params: asked, model: createToyModel(), loadPass });
    expect(finished).toHaveLength(1);
  });

  test('a refiner has those of the pass that it takes over in', async () => {
    const turns: string[] = [];
    const loadPass: PipelineJob['loadPass'] = async (pass, prompts) => {
      turns.push(`${pass} for ${prompts}`);
      return { model: createToyModel(), controlnets: [], title: 'x' };
    };
    const refiner = { checkpoint: 'x', switchAt: 0.5, isBySteps: true, passes: 'both' as const };
    const asked = params({ prompt: 'a cat' }, { ...tagged, refiner });
    await run({ params: asked, model: createToyModel(), loadPass });
    expect(turns).toEqual(['refiner for first', 'second for second', 'refiner for second']);
  });
});

describe('a picture in the place of the first pass', () => {
  test('is enlarged and drawn over, as latents or as a picture', async () => {
    for (const upscaler of ['Latent', 'Lanczos']) {
      const model = createToyModel();
      const given = await run({ params: params({ firstPassImage: 'x', upscaler }), model });
      // Steps of the second pass alone.
      expect(model.calls).toHaveLength(3);
      expect(given.finished[0]!.pixels).toMatchObject({ width: 128, height: 128 });
      const made = createToyModel();
      const other = await run({ params: params({ upscaler }), model: made });
      expect(given.finished[0]!.pixels.data).not.toEqual(other.finished[0]!.pixels.data);
    }
  });

  test('is what hires fix makes of the same first picture', async () => {
    const first = createToyModel();
    const plain = await run({ params: { ...params({}), hires: null }, model: first });
    const { pixels } = plain.finished[0]!;
    const rgba = new Uint8Array(64 * 64 * 4).fill(255);
    for (let i = 0; i < 64 * 64; i++) rgba.set(pixels.data.subarray(i * 3, i * 3 + 3), i * 4);
    const finished: FinishedPicture[] = [];
    await generate({
      ...{ params: params({ firstPassImage: 'x', upscaler: 'Lanczos' }), model: createToyModel() },
      control: CONTROL,
      decodeImage: async () => ({ ...SIZE, data: rgba }),
      async finishImage(picture) {
        finished.push(picture);
        return {} as GeneratedImage;
      },
    });
    const whole = await run({ params: params({ upscaler: 'Lanczos' }), model: createToyModel() });
    expect(finished[0]!.pixels.data).toEqual(whole.finished[0]!.pixels.data);
  });
});

const engines: LocalEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

test('the engine changes checkpoints between the passes and comes back to the first', async () => {
  const folder = new URL('../fixtures/models/sd15-tiny', import.meta.url).pathname;
  const beside = [{ ...folderFiles(folder, 'other'), kind: 'checkpoint' as const }];
  const access = nodeAccess({ beside });
  const engine = createLocalEngine({ ...ENGINE_CONFIG, precision: 'fp32' }, access);
  engines.push(engine);
  const infotexts: string[] = [];
  const make = async (asked: GenerationParams) => {
    const before = access.pictures.length;
    const summary = await engine.generate(asked, {
      onImage: ({ infotext }) => void infotexts.push(infotext),
    });
    return { summary, pictures: access.pictures.slice(before).map(({ data }) => data) };
  };
  const same = await make(params({}, { batchCount: 2, checkpoint: 'sd15-tiny' }));
  const own = await make(params({ checkpoint: 'other' }, { batchCount: 2 }));
  // The same weights under another name.
  expect(own.pictures).toEqual(same.pictures);
  expect(infotexts[3]).toMatch(/Model: sd15-tiny, .*Hires checkpoint: other \[[0-9a-f]{10}\]/);
  expect(own.summary).toMatchObject({ checkpoint: 'sd15-tiny', notes: [] });
  const next = await make(params({}));
  expect(next.summary.checkpoint).toBe('sd15-tiny');
  await expect(make(params({ checkpoint: 'gone' }))).rejects.toThrow(
    'There is no checkpoint "gone"',
  );
});
