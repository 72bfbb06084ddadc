import { join } from 'node:path';
import { expect } from 'vitest';
import { openCheckpoint } from '../../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../../web/compiler/compile.ts';
import { openTextualInversion } from '../../../web/compiler/embedding.ts';
import { openControlnet } from '../../../web/compiler/layouts/controlnet-file.ts';
import { openTaesd } from '../../../web/compiler/layouts/taesd-file.ts';
import { openUpscaler } from '../../../web/compiler/layouts/upscaler-file.ts';
import { fitVae, openVae } from '../../../web/compiler/layouts/vae-file.ts';
import { openLora } from '../../../web/compiler/lora/lora-file.ts';
import { mergeLoras } from '../../../web/compiler/lora/merge.ts';
import type { ComponentName } from '../../../web/compiler/model.ts';
import type { AutoencoderKlConfig } from '../../../web/compiler/models/autoencoder-kl.ts';
import { folderFiles, MODELS } from '../../compiler/lib/files.ts';
import { compileParts, fixtureFiles } from '../../compiler/lib/parts.ts';
import {
  type ReferenceCase,
  type References,
  readReferences,
} from '../../compiler/lib/references.ts';
import { component, f32, i32, MemorySink, maxDifference } from '../../compiler/lib/runtime.ts';
import type { GraphPage } from './graph-page.ts';

/** Reference cases of everything that is no checkpoint, run by a page; `factor` times their tolerance is allowed. */
export interface PartRun {
  readonly page: GraphPage;
  readonly factor: number;
  /** Leaves out all cases but those of these names. */
  readonly cases?: readonly string[];
}

type Found = Record<string, { data: Float32Array }>;

async function open(file: string, { cases: names }: PartRun) {
  const references = await readReferences(file);
  const cases = references.cases.filter(({ name }) => names?.includes(name) ?? true);
  expect(cases.length).toBeGreaterThan(0);
  return { references, cases };
}

function expectClose(
  found: ArrayLike<number> | undefined,
  name: string,
  references: References,
  { factor }: PartRun,
): void {
  const difference = maxDifference(found ?? [], references.tensor(name).data);
  expect(difference, `${name}: ${difference}`).toBeLessThanOrEqual(
    factor * references.tolerance(name),
  );
}

const feed = (references: References, name: string, scale = 1) => {
  const { data, shape } = references.tensor(name);
  return f32(
    data.map((value) => value * scale),
    shape,
  );
};

const openModel = async (name: string) => openCheckpoint(await folderFiles(join(MODELS, name)));

/** Inputs of a picture's or a latent's shape. */
function sizeOf({ dims }: { dims: readonly number[] }, factor = 1) {
  const [batch = 0, , height = 0, width = 0] = dims;
  return { batch, tokens: 77, latentHeight: height / factor, latentWidth: width / factor };
}

export async function checkVaeFile(part: PartRun): Promise<void> {
  const { references, cases } = await open('vae-tiny', part);
  const parts = await compileParts(await openVae(await fixtureFiles('vae-tiny.safetensors')));
  const scale = 0.18215;
  const checkpoint = { latentChannels: 4, vaeFactor: 8, scalingFactor: scale, shiftFactor: 0 };
  for (const { inputs, outputs } of cases) {
    const isEncoding = inputs.image !== undefined;
    const name = isEncoding ? 'vae_encoder' : 'vae_decoder';
    const stored = parts.components.find((candidate) => candidate.name === name)!;
    const config = fitVae('v', stored.config as AutoencoderKlConfig, checkpoint);
    const input = feed(references, (inputs.image ?? inputs.latent)!, isEncoding ? 1 : scale);
    const size = sizeOf(input, isEncoding ? 8 : 1);
    const feeds = isEncoding ? { sample: input } : { latents: input };
    const found = await part.page.run({ ...stored, config }, parts.sink, size, feeds);
    if (!isEncoding) expectClose(found.image?.data, outputs.image!, references, part);
    if (isEncoding) expectClose(found.latent_mean?.data, outputs.mean!, references, part);
    if (isEncoding) expectClose(found.latent_std?.data, outputs.std!, references, part);
  }
}

export async function checkTaesd(part: PartRun): Promise<void> {
  const { references, cases } = await open('taesd-tiny', part);
  const files = await fixtureFiles(
    'taesd-tiny/taesd_encoder.safetensors',
    'taesd-tiny/taesd_decoder.safetensors',
  );
  const parts = await compileParts(await openTaesd(files));
  for (const { inputs, outputs } of cases) {
    const isEncoding = inputs.image !== undefined;
    const name = isEncoding ? 'taesd_encoder' : 'taesd_decoder';
    const stored = parts.components.find((candidate) => candidate.name === name)!;
    const input = feed(references, (inputs.image ?? inputs.latent)!);
    const feeds = isEncoding ? { sample: input } : { latents: input };
    const found = await part.page.run(stored, parts.sink, sizeOf(input, isEncoding ? 8 : 1), feeds);
    const values = isEncoding ? found.latents?.data : found.image?.data;
    expectClose(values, (outputs.latent ?? outputs.image)!, references, part);
  }
}

export async function checkUpscaler(part: PartRun): Promise<void> {
  const { references, cases } = await open('esrgan-tiny', part);
  const files = await fixtureFiles('esrgan/esrgan-tiny-x4.safetensors');
  const { components, sink } = await compileParts(await openUpscaler(files));
  for (const { inputs, outputs } of cases) {
    const image = feed(references, inputs.image!);
    const { upscaled } = await part.page.run(components[0]!, sink, sizeOf(image), { image });
    expectClose(upscaled?.data, outputs.image!, references, part);
  }
}

/** The control picture's embedding, the residuals and the UNet that takes them. */
export async function checkControlnet(part: PartRun): Promise<void> {
  const { references, cases } = await open('controlnet-tiny', part);
  const files = await fixtureFiles(
    'controlnet-tiny/diffusion_pytorch_model.safetensors',
    'controlnet-tiny/config.json',
  );
  const control = await compileParts(await openControlnet(files));
  const net = control.components[0]!;
  const sink = new MemorySink();
  const options = { precision: 'fp32', sink, components: ['unet'] } as const;
  const unet = component(await compileCheckpoint(await openModel('sd15-tiny'), options), 'unet');
  for (const { name, inputs, outputs } of cases) {
    const sample = feed(references, inputs.sample!);
    const size = sizeOf(sample);
    const common = {
      sample,
      timestep: feed(references, inputs.timestep!),
      encoder_hidden_states: feed(references, inputs.encoder_hidden_states!),
    };
    const cond = { controlnet_cond: feed(references, inputs.controlnet_cond!) };
    const { control_hint: hint } = await part.page.run(net, control.sink, size, cond, {
      stage: 'hint',
    });
    const scale = name === '24x16' ? 0.7 : 1;
    const residuals = await part.page.run(net, control.sink, size, {
      ...common,
      control_hint: f32(hint!.data, hint!.dims),
      conditioning_scale: f32(new Array(13 * size.batch).fill(scale), [13, size.batch]),
    });
    for (const [output, tensor] of Object.entries(outputs)) {
      if (output === 'unet') continue;
      const found = residuals[`control_${output.replace('.', '_')}`];
      expectClose(found?.data, tensor, references, part);
    }
    const added = Object.entries(residuals).map(([key, { data, dims }]) => [key, f32(data, dims)]);
    const feeds = { ...common, ...Object.fromEntries(added) };
    const found = await part.page.run(unet, sink, size, feeds, { control: true });
    expectClose(found.out_sample?.data, outputs.unet!, references, part);
  }
}

const LORA_OUTPUTS: Record<string, string> = {
  sample: 'out_sample',
  last_hidden_state: 'hidden_states',
  penultimate: 'hidden_states',
  text_embeds: 'text_embeds',
};

export async function checkLora(name: string, model: string, part: PartRun): Promise<void> {
  const { references, cases } = await open(`lora-${name}`, part);
  const checkpoint = await openModel(model);
  const lora = await openLora(await fixtureFiles(`loras/${name}.safetensors`));
  for (const { component: of, inputs, outputs, settings } of cases) {
    const strength = settings?.strength ?? Number.NaN;
    const merged = mergeLoras(checkpoint, [
      { lora, textEncoderStrength: strength, unetStrength: strength },
    ]);
    const sink = new MemorySink();
    const options = { precision: 'fp32', sink, components: [of as ComponentName] } as const;
    const stored = component(await compileCheckpoint(merged, options), of as ComponentName);
    const found =
      of === 'unet'
        ? await runUnet(stored, sink, inputs, references, part)
        : await runText(stored, sink, inputs, references, part, model === 'sdxl-tiny');
    for (const [output, tensor] of Object.entries(outputs)) {
      expectClose(found[LORA_OUTPUTS[output]!]?.data, tensor, references, part);
    }
  }
}

type Stored = Parameters<GraphPage['run']>[0];

function runUnet(
  stored: Stored,
  sink: MemorySink,
  inputs: ReferenceCase['inputs'],
  references: References,
  { page }: PartRun,
): Promise<Found> {
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([key, tensor]) => [key, feed(references, tensor)]),
  );
  const tokens = feeds.encoder_hidden_states!.dims[1] ?? 0;
  return page.run(stored, sink, { ...sizeOf(feeds.sample!), tokens }, feeds);
}

function runText(
  stored: Stored,
  sink: MemorySink,
  inputs: ReferenceCase['inputs'],
  references: References,
  { page }: PartRun,
  isPenultimate: boolean,
): Promise<Found> {
  const { data, shape } = references.tensor(inputs.input_ids!);
  const [batch = 0, tokens = 0] = shape;
  const size = { batch, tokens, latentHeight: 1, latentWidth: 1 };
  const states = isPenultimate ? { clipSkip: 2, finalNorm: false } : {};
  return page.run(stored, sink, size, { input_ids: i32(data, shape) }, states);
}

/** A textual inversion's vectors in the places of a word, in every encoder of the model. */
export async function checkEmbedding(name: string, model: string, part: PartRun): Promise<void> {
  const references = await readReferences(`embedding-${name}`);
  const checkpoint = await openModel(model);
  const sink = new MemorySink();
  const components = ['text_encoder', 'text_encoder_2'] as const;
  const compiled = await compileCheckpoint(checkpoint, { precision: 'fp32', sink, components });
  const { description } = checkpoint;
  const inversion = await openTextualInversion(
    await fixtureFiles(`embeddings/${name}.safetensors`),
    description,
  );
  const positions = references.tensor('positions').data;
  const found: Found[] = [];
  for (const [index, { component: of, hiddenSize, states }] of description.textEncoders.entries()) {
    const { data, shape } = references.tensor(index === 0 ? 'ids' : 'ids_2');
    const tokens = shape.at(-1) ?? 0;
    const [overrides, mask] = [new Float32Array(tokens * hiddenSize), new Float32Array(tokens)];
    for (const [row, at] of positions.entries()) {
      const rows = inversion.values[index]!;
      overrides.set(rows.subarray(row * hiddenSize, (row + 1) * hiddenSize), at * hiddenSize);
      mask[at] = 1;
    }
    const { clipSkip, finalNorm } = states;
    found.push(
      await part.page.run(
        component(compiled, of),
        sink,
        { batch: 1, tokens, latentHeight: 1, latentWidth: 1 },
        {
          input_ids: i32(data, [1, tokens]),
          overrides: f32(overrides, [1, tokens, hiddenSize]),
          override_mask: f32(mask, [1, tokens, 1]),
        },
        { clipSkip, finalNorm, overrides: true },
      ),
    );
  }
  const [first, second] = found;
  if (!second) {
    expectClose(first?.hidden_states?.data, 'last_hidden_state', references, part);
    return;
  }
  const [left = 0, right = 0] = description.textEncoders.map(({ hiddenSize }) => hiddenSize);
  const joined = Array.from({ length: 77 }, (_, token) => [
    ...first!.hidden_states!.data.subarray(token * left, (token + 1) * left),
    ...second.hidden_states!.data.subarray(token * right, (token + 1) * right),
  ]).flat();
  expectClose(joined, 'context', references, part);
  expectClose(second.text_embeds?.data, 'text_embeds', references, part);
}
