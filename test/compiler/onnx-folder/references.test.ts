import { beforeAll, describe, expect, it } from 'vitest';
import { onnxConfig } from '../../../web/compiler/onnx-folder/config.ts';
import { onnxFolder } from '../lib/onnx-folder.ts';
import { type CompiledFolder, compileFolder } from '../lib/onnx-runs.ts';
import { type ReferenceCase, type References, readReferences } from '../lib/references.ts';
import { component, f32, i32, maxDifference } from '../lib/runtime.ts';

/** Every case that diffusers answered for these models, answered by graphs that PyTorch exported. */
describe.each(['sd15-tiny', 'sdxl-tiny'] as const)('%s as an ONNX folder', (model) => {
  let folder: CompiledFolder;
  let references: References;
  beforeAll(async () => {
    references = await readReferences(model);
    folder = await compileFolder(await onnxFolder(model, { dataFiles: 2 }));
  });

  function expectClose(found: { data: Float32Array } | undefined, name: string): void {
    const difference = maxDifference(found!.data, references.tensor(name).data);
    expect(difference).toBeLessThanOrEqual(references.tolerance(name));
  }

  const cases = (component: string) =>
    references.cases.filter((candidate) => candidate.component === component);

  async function checkText(name: 'text_encoder' | 'text_encoder_2', it: ReferenceCase) {
    const { data, shape } = references.tensor(it.inputs.input_ids!);
    const [batch = 0, tokens = 0] = shape;
    const size = { batch, tokens, latentHeight: 0, latentWidth: 0 };
    const { layers } = folder.compiled.description.textEncoders.find((e) => e.component === name)!;
    for (const clipSkip of [1, 2, 3, 4]) {
      const feeds = { input_ids: i32(data, shape) };
      const normed = await folder.run(name, size, feeds, { clipSkip });
      expectClose(normed.hidden_states, it.outputs[`clip_skip_${clipSkip}`]!);
      if (it.outputs.text_embeds) expectClose(normed.text_embeds, it.outputs.text_embeds);
      const bare = await folder.run(name, size, feeds, { clipSkip, finalNorm: false });
      expectClose(bare.hidden_states, it.outputs[`hidden_states.${layers - clipSkip + 1}`]!);
    }
  }

  it('encodes texts, with every clip skip', async () => {
    for (const each of cases('text_encoder')) await checkText('text_encoder', each);
    for (const each of cases('text_encoder_2')) await checkText('text_encoder_2', each);
    expect(cases('text_encoder').length).toBeGreaterThan(0);
  });

  it('predicts noise at every size and time', async () => {
    let checked = 0;
    const { multiple } = onnxConfig(component(folder.compiled, 'unet'))!;
    expect(multiple).toBe(model === 'sd15-tiny' ? 8 : 4);
    for (const { inputs, outputs } of cases('unet')) {
      const times = references.tensor(inputs.timestep!).data;
      // The exporter was given one time for all rows.
      if (new Set(times).size > 1) continue;
      const sample = references.tensor(inputs.sample!);
      const [batch = 0, , latentHeight = 0, latentWidth = 0] = sample.shape;
      // Nor did it write down what becomes of odd sides on the way down and up.
      if (latentHeight % multiple !== 0 || latentWidth % multiple !== 0) continue;
      const tokens = references.tensor(inputs.encoder_hidden_states!).shape[1]!;
      const feeds = Object.entries(inputs).map(([input, name]) => {
        const { data, shape } = references.tensor(name);
        if (input !== 'timestep') return [input, f32(data, shape)] as const;
        return [input, f32(new Array<number>(batch).fill(data[0]!), [batch])] as const;
      });
      const shape = { batch, latentHeight, latentWidth, tokens };
      const result = await folder.run('unet', shape, Object.fromEntries(feeds));
      expectClose(result.out_sample, outputs.sample!);
      checked += 1;
    }
    expect(checked).toBeGreaterThan(3);
  });

  it('encodes and decodes pictures', async () => {
    const { vaeFactor, scalingFactor } = folder.compiled.description;
    for (const { inputs, outputs } of cases('vae')) {
      const { data, shape } = references.tensor((inputs.image ?? inputs.latent)!);
      const [batch = 0, , height = 0, width = 0] = shape;
      if (inputs.image) {
        const size = { latentHeight: height / vaeFactor, latentWidth: width / vaeFactor };
        const feeds = { sample: f32(data, shape) };
        const result = await folder.run('vae_encoder', { batch, tokens: 0, ...size }, feeds);
        expectClose(result.latent_mean, outputs.mean!);
        expectClose(result.latent_std, outputs.std!);
        continue;
      }
      const feeds = {
        latents: f32(
          data.map((value) => value * scalingFactor),
          shape,
        ),
      };
      const size = { batch, tokens: 0, latentHeight: height, latentWidth: width };
      const result = await folder.run('vae_decoder', size, feeds);
      expectClose(result.image, outputs.image!);
    }
  });
});
