import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Checkpoint, openCheckpoint } from '../../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../../web/compiler/compile.ts';
import { layerDelta } from '../../../web/compiler/lora/delta.ts';
import { createLayerFinder } from '../../../web/compiler/lora/layer-names.ts';
import { type LoraFile, openLora } from '../../../web/compiler/lora/lora-file.ts';
import { type LoraUse, mergeLoras } from '../../../web/compiler/lora/merge.ts';
import type { ComponentName } from '../../../web/compiler/model.ts';
import { folderFiles, MODELS } from '../lib/files.ts';
import { fixtureFiles } from '../lib/parts.ts';
import { type ReferenceCase, readReferences } from '../lib/references.ts';
import { component, f32, i32, MemorySink, maxDifference, runComponent } from '../lib/runtime.ts';

const LORAS = [
  ['sd15-kohya', 'sd15-tiny'],
  ['sd15-locon', 'sd15-tiny'],
  ['sd15-loha', 'sd15-tiny'],
  ['sd15-lokr', 'sd15-tiny'],
  ['sd15-peft', 'sd15-tiny'],
  ['sdxl-kohya', 'sdxl-tiny'],
] as const;

const openModel = async (model: string): Promise<Checkpoint> =>
  openCheckpoint(await folderFiles(join(MODELS, model)));

const open = async (name: string): Promise<LoraFile> =>
  openLora(await fixtureFiles(`loras/${name}.safetensors`));

const use = (lora: LoraFile, strength: number): LoraUse => ({
  ...{ lora, textEncoderStrength: strength, unetStrength: strength },
});

type Results = Record<string, { data: Float32Array }>;

/** Runs one case's component, merged at the case's strength. */
async function run(
  checkpoint: Checkpoint,
  uses: readonly LoraUse[],
  { component: name, inputs }: ReferenceCase,
  references: Awaited<ReturnType<typeof readReferences>>,
): Promise<Results> {
  const sink = new MemorySink();
  const components = [name as ComponentName];
  const merged = mergeLoras(checkpoint, uses);
  const compiled = await compileCheckpoint(merged, { precision: 'fp32', sink, components });
  const part = component(compiled, name as ComponentName);
  const tensors = Object.entries(inputs).map(([key, of]) => [key, references.tensor(of)] as const);
  if (name === 'unet') {
    const [batch = 0, , latentHeight = 0, latentWidth = 0] = references.tensor(
      inputs.sample!,
    ).shape;
    const tokens = references.tensor(inputs.encoder_hidden_states!).shape[1]!;
    const feeds = tensors.map(([key, { data, shape }]) => [key, f32(data, shape)] as const);
    const size = { batch, latentHeight, latentWidth, tokens };
    return runComponent(part, sink, size, Object.fromEntries(feeds));
  }
  const { data, shape } = references.tensor(inputs.input_ids!);
  const [batch = 0, tokens = 0] = shape;
  const size = { batch, tokens, latentHeight: 1, latentWidth: 1 };
  const states = checkpoint.description.family === 'sdxl' ? { clipSkip: 2, finalNorm: false } : {};
  return runComponent(part, sink, size, { input_ids: i32(data, shape) }, states);
}

const OUTPUTS: Record<string, string> = {
  sample: 'out_sample',
  last_hidden_state: 'hidden_states',
  penultimate: 'hidden_states',
  text_embeds: 'text_embeds',
};

describe.each(LORAS)('LoRA %s', async (name, model) => {
  const references = await readReferences(`lora-${name}`);
  const tensors = references.tensorNames;

  it.each(references.cases.map((c) => [c.name, c] as const))('%s', async (_, c) => {
    const strength = c.settings?.strength;
    expect(strength).toBeTypeOf('number');
    const results = await run(
      await openModel(model),
      [use(await open(name), strength!)],
      c,
      references,
    );
    for (const [output, reference] of Object.entries(c.outputs)) {
      const found = results[OUTPUTS[output]!]!.data;
      const difference = maxDifference(found, references.tensor(reference).data);
      expect(difference).toBeLessThanOrEqual(references.tolerance(reference));
    }
  });

  it('changes nothing at strength 0, and touches only the weights that it names', async () => {
    const checkpoint = await openModel(model);
    const lora = await open(name);
    const merged = mergeLoras(checkpoint, [use(lora, 0)]);
    expect(merged.touched.size).toBe(0);
    const without = references.tensor('unet.0.sample').data;
    const unet = references.cases.find((c) => c.component === 'unet')!;
    const { out_sample: found } = await run(checkpoint, [use(lora, 0)], unet, references);
    expect(maxDifference(found!.data, without)).toBeLessThanOrEqual(
      references.tolerance('unet.0.sample'),
    );
    const touched = mergeLoras(checkpoint, [use(lora, 1)]).touched;
    const count = [...touched.values()].reduce((sum, names) => sum + names.size, 0);
    expect(count).toBe(lora.layers.length);
  });

  it.each(tensors.filter((tensor) => tensor.startsWith('delta.')))('%s', async (tensor) => {
    const checkpoint = await openModel(model);
    const find = createLayerFinder(checkpoint.components);
    const lora = await open(name);
    const [wanted, module] = tensor.slice('delta.'.length).split(':');
    const layer = lora.layers.find((candidate) => {
      const target = find(candidate.name);
      return target?.component === wanted && target!.spec.name === `${module}.weight`;
    });
    const { values } = await layerDelta(lora, layer!);
    const difference = maxDifference(values, references.tensor(tensor).data);
    expect(difference).toBeLessThanOrEqual(references.tolerance(tensor));
  });
});

describe('several LoRAs', () => {
  it('add up, each at its own strengths', async () => {
    const checkpoint = await openModel('sd15-tiny');
    const [kohya, loha] = [await open('sd15-kohya'), await open('sd15-loha')];
    const uses = [
      { lora: kohya, textEncoderStrength: 0.5, unetStrength: 0.8 },
      { lora: loha, textEncoderStrength: 0, unetStrength: -0.3 },
    ];
    const merged = mergeLoras(checkpoint, uses);
    const name = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight';
    const values = async (of: Checkpoint) => {
      const unet = of.components.find((part) => part.name === 'unet')!;
      const sink = new MemorySink();
      const compiled = await compileCheckpoint(
        { ...of, components: [unet] },
        { precision: 'fp32', sink, wants: (_, weight) => weight === name },
      );
      expect(Object.keys(compiled.components[0]!.weights)).toEqual([name]);
      return new Float32Array(sink.bytes('unet')[0]!.buffer);
    };
    const find = createLayerFinder(checkpoint.components);
    const delta = async (lora: LoraFile) => {
      const layer = lora.layers.find((l) => find(l.name)?.spec.name === name)!;
      return (await layerDelta(lora, layer)).values;
    };
    const [before, after] = [await values(checkpoint), await values(merged)];
    const [first, second] = [await delta(kohya), await delta(loha)];
    const side = Math.sqrt(before.length);
    const expected = before.map((value, at) => {
      // Stored transposed.
      const place = (at % side) * side + Math.floor(at / side);
      return value + 0.8 * first[place]! - 0.3 * second[place]!;
    });
    expect(maxDifference(after, expected)).toBeLessThan(1e-6);
    const text = merged.touched.get('text_encoder')!;
    expect(text.size).toBe(kohya.layers.filter((l) => l.name.startsWith('lora_te_')).length);
  });
});
