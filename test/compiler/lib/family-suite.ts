import { beforeAll, describe, expect, it } from 'vitest';
import type { Checkpoint } from '../../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../../web/compiler/compile.ts';
import type { CompiledModel, ComponentName } from '../../../web/compiler/model.ts';
import { type ReferenceCase, readReferences } from './references.ts';
import { component, f32, i32, MemorySink, maxDifference, runComponent } from './runtime.ts';

const CLIP_SKIPS = [1, 2, 3, 4];

export interface ReferenceSuite {
  /** Leaves the cases of components out that the checkpoint borrows from another model. */
  readonly only?: readonly ComponentName[];
  /** Runs a component's graph: on the wasm provider in Node unless another is given. */
  readonly run?: typeof runComponent;
  /** How many times its tolerance a case may be off. */
  readonly factor?: number;
  /** Which of the references' cases. */
  readonly wants?: (name: string) => boolean;
}

/** Compiles a checkpoint in float32 and holds every case of its references against what `run` gives. */
export async function describeReferences(
  title: string,
  model: string,
  open: () => Promise<Checkpoint>,
  { only = [], run = runComponent, factor = 1, wants: wantsCase = () => true }: ReferenceSuite = {},
): Promise<void> {
  const references = await readReferences(model);
  const sink = new MemorySink();
  let compiled: CompiledModel;

  const cases = (name: string) =>
    references.cases
      .filter((candidate) => candidate.component === name && wantsCase(candidate.name))
      .map((candidate) => [candidate.name, candidate] as const);

  function expectClose(found: { data: Float32Array } | undefined, name: string): void {
    const difference = maxDifference(found!.data, references.tensor(name).data);
    expect(difference).toBeLessThanOrEqual(factor * references.tolerance(name));
  }

  function encode(name: ComponentName, ids: string, options: Parameters<typeof runComponent>[4]) {
    const { data, shape } = references.tensor(ids);
    const [batch = 0, tokens = 0] = shape;
    const size = { batch, tokens, latentHeight: 1, latentWidth: 1 };
    const feeds = { input_ids: i32(data, shape) };
    return run(component(compiled, name), sink, size, feeds, options);
  }

  async function checkText(name: ComponentName, { inputs, outputs }: ReferenceCase): Promise<void> {
    for (const clipSkip of CLIP_SKIPS) {
      const normed = await encode(name, inputs.input_ids!, { clipSkip, pooled: true });
      expectClose(normed.hidden_states, outputs[`clip_skip_${clipSkip}`]!);
      expectClose(normed.pooled, outputs.pooled!);
      if (outputs.text_embeds) expectClose(normed.text_embeds, outputs.text_embeds);
      const bare = await encode(name, inputs.input_ids!, { clipSkip, finalNorm: false });
      const { layers } = compiled.description.textEncoders.find((e) => e.component === name)!;
      expectClose(bare.hidden_states, outputs[`hidden_states.${layers - clipSkip + 1}`]!);
    }
  }

  async function checkUnet({ inputs, outputs }: ReferenceCase): Promise<void> {
    const names = Object.entries(inputs);
    const feeds = names.map(([input, name]) => [input, references.tensor(name)] as const);
    const sample = references.tensor(inputs.sample!);
    const [batch = 0, , latentHeight = 0, latentWidth = 0] = sample.shape;
    const tokens = references.tensor(inputs.encoder_hidden_states!).shape[1]!;
    const result = await run(
      component(compiled, 'unet'),
      sink,
      { batch, latentHeight, latentWidth, tokens },
      Object.fromEntries(feeds.map(([input, { data, shape }]) => [input, f32(data, shape)])),
    );
    expectClose(result.out_sample, outputs.sample!);
  }

  async function checkVae({ inputs, outputs }: ReferenceCase): Promise<void> {
    const { vaeFactor, scalingFactor } = compiled.description;
    const { data, shape } = references.tensor((inputs.image ?? inputs.latent)!);
    const [batch = 0, , height = 0, width = 0] = shape;
    if (inputs.image) {
      const size = { latentHeight: height / vaeFactor, latentWidth: width / vaeFactor };
      const encoder = component(compiled, 'vae_encoder');
      const feeds = { sample: f32(data, shape) };
      const result = await run(encoder, sink, { batch, tokens: 1, ...size }, feeds);
      expectClose(result.latent_mean, outputs.mean!);
      expectClose(result.latent_std, outputs.std!);
      return;
    }
    const scaled = data.map((value) => value * scalingFactor);
    const result = await run(
      component(compiled, 'vae_decoder'),
      sink,
      { batch, tokens: 1, latentHeight: height, latentWidth: width },
      { latents: f32(scaled, shape) },
    );
    expectClose(result.image, outputs.image!);
  }

  /** SDXL's context: the states of both encoders beside each other, as the description says. */
  async function checkContext({ inputs, outputs }: ReferenceCase): Promise<void> {
    const [first, second] = compiled.description.textEncoders;
    const one = await encode('text_encoder', inputs.input_ids!, first!.states);
    const two = await encode('text_encoder_2', inputs.input_ids_2!, second!.states);
    const rows = one.hidden_states!.data.length / first!.hiddenSize;
    const size = first!.hiddenSize + second!.hiddenSize;
    const joined = new Float32Array(rows * size);
    for (let row = 0; row < rows; row++) {
      const part = (data: Float32Array, width: number) =>
        data.subarray(row * width, (row + 1) * width);
      joined.set(part(one.hidden_states!.data, first!.hiddenSize), row * size);
      joined.set(part(two.hidden_states!.data, second!.hiddenSize), row * size + first!.hiddenSize);
    }
    expectClose({ data: joined }, outputs.context!);
    expectClose(two.text_embeds, outputs.text_embeds!);
  }

  describe(title, () => {
    beforeAll(async () => {
      compiled = await compileCheckpoint(await open(), { precision: 'fp32', sink });
    });

    const wants = (name: ComponentName) => only.length === 0 || only.includes(name);
    if (wants('text_encoder')) {
      it.each(cases('text_encoder'))('%s', (_, c) => checkText('text_encoder', c));
      const second = cases('text_encoder_2');
      if (second.length > 0) it.each(second)('%s', (_, c) => checkText('text_encoder_2', c));
      const both = cases('text_encoder + text_encoder_2');
      if (both.length > 0) it.each(both)('%s', (_, c) => checkContext(c));
    }
    if (wants('unet')) it.each(cases('unet'))('%s', (_, c) => checkUnet(c));
    if (wants('vae_decoder')) it.each(cases('vae'))('%s', (_, c) => checkVae(c));
  });
}
