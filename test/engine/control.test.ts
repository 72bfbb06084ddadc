import { describe, expect, it, test } from 'vitest';
import type { ControlParams } from '../../protocol/control.ts';
import {
  GENERATION_DEFAULTS,
  type GenerationParams,
  hiresParams,
} from '../../protocol/generation.ts';
import { activeControls, controlInfotext } from '../../web/engine/control/control-units.ts';
import type { ControlShare, TextContext, UnetCall } from '../../web/engine/diffusion-model.ts';
import { toPixels } from '../../web/engine/images/pixels.ts';
import { planJob } from '../../web/engine/job-plan.ts';
import { generate } from '../../web/engine/pipeline/generate.ts';
import type { PipelineJob } from '../../web/engine/pipeline/job.ts';
import { createImageRng } from '../../web/engine/sampling/rng/image-rng.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import { readReferences } from '../compiler/lib/references.ts';
import { component, f32, maxDifference, runComponent } from '../compiler/lib/runtime.ts';
import { controlnetFiles, controlUnit as unit } from '../fakes/controlnet.ts';
import { loadedModel } from '../fakes/loaded-model.ts';
import { createToyModel } from '../fakes/toy-model.ts';

/** ControlNets from a job's units to its picture, with the real (tiny) weights and the real runtime. */

const references = await readReferences('controlnet-tiny');
const share = (change: Partial<ControlShare> = {}): ControlShare => ({
  ...{ control: 0, strength: 1, isSoft: false, exempt: null },
  ...change,
});

describe('a UNet with ControlNets', () => {
  const loading = loadedModel('sd15-tiny');
  const loadingNet = loading.then(async ({ companion }) =>
    companion('controlnet', await controlnetFiles()),
  );

  async function answers(
    name: '16x16' | '24x16',
    controls: readonly ControlShare[],
    { nets = 1, texts = [1] }: { nets?: number; texts?: readonly number[] } = {},
  ): Promise<Float32Array[]> {
    const { model } = await loading;
    const net = await loadingNet;
    const { inputs } = references.cases.find((candidate) => candidate.name === name)!;
    const value = (input: string) => references.tensor(inputs[input]!);
    const [, channels = 4, height = 0, width = 0] = value('sample').shape;
    const states = Float32Array.from(value('encoder_hidden_states').data);
    const contexts = texts.map(
      (factor): TextContext => ({
        ...{ tokens: 77, values: states.map((each) => each * factor), textEmbeds: null },
      }),
    );
    const picture = Float32Array.from(value('controlnet_cond').data);
    const request = { pictures: 1, channels, height, width, contexts, guidanceScale: 1 };
    const call: UnetCall = {
      ...{ inputScale: 1, timestep: value('timestep').data[0]!, contexts, controls },
      mixes: texts.map((_, place) => [0, ...texts.map((_, other) => (other === place ? 1 : 0))]),
    };
    return model.withLatents(
      { ...request, controls: Array.from({ length: nets }, () => ({ net, picture })) },
      async (space) => {
        const sample = space.math.fromArray(Float32Array.from(value('sample').data));
        const found = await space.predict(sample, call);
        return Promise.all(found.map((each) => space.math.toArray(each)));
      },
    );
  }

  it.each([
    ['16x16', 1],
    ['24x16', 0.7],
  ] as const)('answers as the reference does, %s', async (name, strength) => {
    const [found] = await answers(name, [share({ strength })]);
    const { outputs } = references.cases.find((candidate) => candidate.name === name)!;
    expect(maxDifference(found!, references.tensor(outputs.unet!).data)).toBeLessThanOrEqual(
      references.tolerance(outputs.unet!),
    );
  });

  it('answers alone where none has a share', async () => {
    const [alone] = await answers('16x16', [], { nets: 0 });
    const [idle] = await answers('16x16', []);
    const [none] = await answers('16x16', [share({ strength: 0 })]);
    const [controlled] = await answers('16x16', [share()]);
    expect(maxDifference(idle!, alone!)).toBeLessThan(1e-5);
    expect(maxDifference(none!, alone!)).toBeLessThan(1e-5);
    expect(maxDifference(controlled!, alone!)).toBeGreaterThan(0.01);
  });

  it('adds up several', async () => {
    const half = share({ strength: 0.5 });
    const [two] = await answers('16x16', [half, { ...half, control: 1 }], { nets: 2 });
    const [one] = await answers('16x16', [share()]);
    expect(maxDifference(two!, one!)).toBeLessThan(1e-4);
  });

  it('leaves the exempt text alone, of a pair and of a text that is by itself', async () => {
    const texts = [1, 0.5, 0.25];
    const plain = await answers('16x16', [], { texts });
    const all = await answers('16x16', [share()], { texts });
    for (const exempt of [0, 1, 2]) {
      const found = await answers('16x16', [share({ exempt })], { texts });
      texts.forEach((_, place) => {
        const expected = place === exempt ? plain[place]! : all[place]!;
        expect(maxDifference(found[place]!, expected), `${exempt}, ${place}`).toBeLessThan(1e-4);
      });
    }
  });

  it('softly counts shallow residuals less', async () => {
    const { compiled, sink } = await loading;
    const { inputs } = references.cases[0]!;
    const feed = (input: string) => {
      const { data, shape } = references.tensor(inputs[input]!);
      return f32(data, shape);
    };
    const { outputs } = references.cases.find(({ name }) => name === '16x16')!;
    const residuals = Array.from({ length: 13 }, (_, index) => {
      const tensor = outputs[index === 12 ? 'mid' : `down.${index}`]!;
      const { data, shape } = references.tensor(tensor);
      const scale = 0.9 * 0.825 ** (12 - index);
      const name = index === 12 ? 'control_mid' : `control_down_${index}`;
      return [
        name,
        f32(
          Float32Array.from(data, (value) => value * scale),
          shape,
        ),
      ] as const;
    });
    const { out_sample: expected } = await runComponent(
      component(compiled, 'unet'),
      sink,
      { batch: 1, latentHeight: 16, latentWidth: 16, tokens: 77 },
      {
        ...{ sample: feed('sample'), timestep: feed('timestep') },
        ...{ encoder_hidden_states: feed('encoder_hidden_states') },
        ...Object.fromEntries(residuals),
      },
      { control: true },
    );
    const [found] = await answers('16x16', [share({ strength: 0.9, isSoft: true })]);
    expect(maxDifference(found!, expected!.data)).toBeLessThan(1e-4);
  });
});

describe('the units at work', () => {
  const at = (reached: number, change: Partial<ControlParams>, isSecond = false) =>
    activeControls([unit(change)], reached, isSecond);

  it('begin and end where they are told to, ends included', () => {
    const window = { guidanceStart: 0.25, guidanceEnd: 0.5 };
    const active = [0, 0.2, 0.25, 0.4, 0.5, 0.55, 1].filter((share) => at(share, window).length);
    expect(active).toEqual([0.25, 0.4, 0.5]);
  });

  it('are soft unless they are balanced, and spare the negative prompt where they are to win', () => {
    const [balanced] = at(0, {});
    expect(balanced).toEqual({ control: 0, strength: 1, isSoft: false, isCondOnly: false });
    expect(at(0, { mode: 'prompt', weight: 0.4 })).toEqual([
      { control: 0, strength: 0.4, isSoft: true, isCondOnly: false },
    ]);
    expect(at(0, { mode: 'control' })[0]).toMatchObject({ isSoft: true, isCondOnly: true });
  });

  it('with edges are soft in a second pass', () => {
    expect(at(0, { module: 'canny' })[0]?.isSoft).toBe(false);
    expect(at(0, { module: 'canny' }, true)[0]?.isSoft).toBe(true);
    expect(at(0, { module: 'invert' }, true)[0]?.isSoft).toBe(false);
  });

  it('are written into infotexts as sd-webui-controlnet does', () => {
    const canny = unit({
      ...{ unit: 1, module: 'canny', model: 'control_v11p_sd15_canny', thresholdA: 192 },
      ...{ modelLabel: 'control_v11p_sd15_canny [d14c016b]', mode: 'control' },
    });
    const other = unit({ weight: 0.65, guidanceEnd: 0.8, resizeMode: 'fill', mode: 'prompt' });
    expect(controlInfotext([other, canny])).toEqual({
      'ControlNet 0':
        'Module: none, Model: controlnet-tiny, Weight: 0.65, Resize Mode: Resize and Fill, Guidance Start: 0.0, Guidance End: 0.8, Pixel Perfect: False, Control Mode: My prompt is more important',
      'ControlNet 1':
        'Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 1.0, Resize Mode: Crop and Resize, Processor Res: 512, Threshold A: 192.0, Threshold B: 200.0, Guidance Start: 0.0, Guidance End: 1.0, Pixel Perfect: False, Control Mode: ControlNet is more important',
    });
  });
});

const CONTROL = { isInterrupted: () => false, isSkipped: () => false, beginBatch() {} };

describe('a job', () => {
  test('asks its ControlNets in the calls of their share of the steps, as A1111 counts them', async () => {
    const toy = createToyModel();
    const seen: (readonly ControlShare[])[][] = [];
    const model: typeof toy = {
      ...toy,
      withLatents(request, use) {
        const calls: (readonly ControlShare[])[] = [];
        seen.push(calls);
        expect(request.controls?.map(({ picture }) => picture.length)).toEqual(
          new Array(request.controls!.length).fill(3 * request.height * request.width * 64),
        );
        return toy.withLatents(request, (space) =>
          use({
            ...space,
            predict(x, call) {
              calls.push(call.controls ?? []);
              return space.predict(x, call);
            },
          }),
        );
      },
    };
    const net = {} as never;
    const job: PipelineJob = {
      params: {
        ...{
          ...GENERATION_DEFAULTS,
          prompt: 'a',
          width: 64,
          height: 64,
          steps: 5,
          sampler: 'Heun',
        },
        hires: hiresParams.parse({ steps: 2, denoisingStrength: 0.5 }),
      },
      model,
      control: CONTROL,
      controlnets: [
        { unit: unit({ guidanceEnd: 0.3, mode: 'control' }), net },
        { unit: unit({ guidanceStart: 0.5, passes: 'first' }), net },
        { unit: unit({ module: 'canny', passes: 'second' }), net },
      ],
      decodeImage: async () => picture(),
      finishImage: async () => ({}) as GeneratedImage,
    };
    await generate(job);
    const [first, second] = seen.map((calls) =>
      calls.map((shares) => shares.map(({ control, exempt }) => `${control}:${exempt}`).join()),
    );
    // Heun calls twice a step but for the last; a step is told behind its first call.
    expect(first).toEqual(['0:1', '0:1', '0:1', '0:1', '0:1', '', '', '1:null', '1:null']);
    expect(second!.every((shares) => shares.endsWith('1:null'))).toBe(true);
    expect(seen[1]![0]!.map(({ isSoft }) => isSoft)).toEqual([true, true]);
  });

  test('makes the picture of a loop that is written out', async () => {
    const { model, compiled, sink, companion } = await loadedModel('sd15-tiny');
    const net = await companion('controlnet', await controlnetFiles());
    const params: GenerationParams = {
      ...{ ...GENERATION_DEFAULTS, prompt: 'a cat', negativePrompt: 'a dog', seed: 11 },
      ...{ width: 64, height: 64, steps: 4, guidanceScale: 5, sampler: 'Euler' },
    };
    const weight = 0.8;
    const use = { unit: unit({ weight, guidanceEnd: 0.3, mode: 'control' }), net };
    let pixels = toPixels(new Float32Array(3), 1, 1);
    const run = (controlnets: PipelineJob['controlnets'] & object) =>
      generate({
        ...{ params, model, control: CONTROL, controlnets, decodeImage: async () => picture() },
        async finishImage(finished) {
          pixels = finished.pixels;
          return {} as GeneratedImage;
        },
      });
    await run([]);
    const alone = pixels;
    await run([use]);

    const hand = await handMade();
    expect(maxDifference(pixels.data, hand.data)).toBeLessThanOrEqual(1);
    expect(maxDifference(pixels.data, alone.data)).toBeGreaterThan(5);

    async function handMade() {
      const plan = planJob(params, model.description);
      if (plan.sampling.kind !== 'sigma') throw new TypeError('Euler is a sigma sampler');
      const { sigmas } = plan.sampling;
      const prompts = model.planPrompts({
        ...{ prompts: ['a cat'], negativePrompts: ['a dog'], steps: 4 },
      });
      const texts = await Promise.all(prompts.groups.map((group) => model.encodeTexts(group, 1)));
      const of = ({ group, row }: { group: number; row: number }) => texts[group]![row]!.values;
      const cond = of(prompts.firstPass.condAt(0)[0]![0]!);
      const uncond = of(prompts.firstPass.uncondAt(0)[0]!);
      const both = Float32Array.from([...cond, ...uncond]);
      const size = { batch: 2, latentHeight: 8, latentWidth: 8, tokens: 77 };
      const netSink = await ownSink();
      const hint = Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => pixelAt(i) / 255);
      const rng = createImageRng({
        ...{ ...params, seeds: [11], subseeds: [0], shape: [4, 8, 8], vaeFactor: 8 },
        source: params.randnSource,
      });
      let x = rng.first().map((value) => value * sigmas[0]!);
      for (let step = 0; step < 4; step++) {
        const sigma = sigmas[step]!;
        const scaled = x.map((value) => value / Math.sqrt(sigma ** 2 + 1));
        const common = {
          sample: f32(Float32Array.from([...scaled, ...scaled]), [2, 4, 8, 8]),
          timestep: f32(new Array(2).fill(plan.schedule.sigmaToT(sigma)), [2]),
          encoder_hidden_states: f32(both, [2, 77, 32]),
        };
        // Steps told before: 0, 0, 1, 2 of 4; the window ends at 0.3.
        const isActive = Math.max(0, step - 1) / 4 <= 0.3;
        const residuals = await residualsOf(netSink, hint, common, isActive);
        const { out_sample: out } = await runComponent(
          ...([component(compiled, 'unet'), sink, size] as const),
          { ...common, ...residuals },
          { control: true },
        );
        const noise = out!.data;
        x = x.map((value, i) => {
          const guided = noise[256 + i]! + 5 * (noise[i]! - noise[256 + i]!);
          return value + guided * (sigmas[step + 1]! - sigma);
        });
      }
      const { image } = await runComponent(
        ...([component(compiled, 'vae_decoder'), sink] as const),
        { batch: 1, latentHeight: 8, latentWidth: 8, tokens: 1 },
        { latents: f32(x, [1, 4, 8, 8]) },
      );
      return toPixels(image!.data, 64, 64);
    }

    /** The prompt's row gets softened residuals, the negative prompt's none. */
    async function residualsOf(
      netSink: Parameters<typeof runComponent>[1],
      hint: Float32Array,
      common: Parameters<typeof runComponent>[3],
      isActive: boolean,
    ) {
      const size = { batch: 2, latentHeight: 8, latentWidth: 8, tokens: 77 };
      const one = { ...size, batch: 1 };
      const embedded = await runComponent(
        ...([net.component, netSink, one] as const),
        { controlnet_cond: f32(hint, [1, 3, 64, 64]) },
        { stage: 'hint' },
      );
      const scales = Array.from({ length: 13 }, (_, i) => [
        ...[isActive ? weight * 0.825 ** (12 - i) : 0, 0],
      ]).flat();
      const { data, dims } = embedded.control_hint!;
      const found = await runComponent(net.component, netSink, size, {
        ...{ ...common, control_hint: f32(data, dims) },
        conditioning_scale: f32(scales, [13, 2]),
      });
      return Object.fromEntries(
        Object.entries(found).map(([name, value]) => [name, f32(value.data, value.dims)]),
      );
    }

    async function ownSink() {
      const bytes = await Promise.all((await net.shards()).map((blob) => blob.arrayBuffer()));
      return { bytes: () => bytes.map((each) => new Uint8Array(each)) } as never;
    }
  });
});

/** A picture of 64×64 whose bytes are their places. */
function picture() {
  const data = new Uint8Array(64 * 64 * 4);
  for (let i = 0; i < data.length; i++)
    data[i] = i % 4 === 3 ? 255 : pixelAt((i % 4) * 4096 + (i >> 2));
  return { width: 64, height: 64, data };
}

/** Of plane, row and column. */
function pixelAt(i: number): number {
  return (i * 7 + (i >> 6) * 13) % 256;
}
