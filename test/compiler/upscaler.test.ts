import { describe, expect, it } from 'vitest';
import { buildGraph } from '../../web/compiler/build-graph.ts';
import { openUpscaler } from '../../web/compiler/layouts/upscaler-file.ts';
import type { ModelFiles } from '../../web/compiler/model.ts';
import { type RrdbnetConfig, upscalerScale } from '../../web/compiler/models/rrdbnet.ts';
import { memorySource } from './lib/files.ts';
import { type CompiledParts, compileParts, fixtureFiles, renamedFile } from './lib/parts.ts';
import { readReferences } from './lib/references.ts';
import { f32, maxDifference, runComponent } from './lib/runtime.ts';
import { type TensorBytes, writeSafetensors } from './lib/safetensors-bytes.ts';

const references = await readReferences('esrgan-tiny');
const current = () => fixtureFiles('esrgan/esrgan-tiny-x4.safetensors');
const old = () => fixtureFiles('esrgan/esrgan-tiny-x4-old.safetensors');
const wrapped = async () => renamedFile(await current(), (name) => `params_ema.${name}`);
const byModule = async () =>
  renamedFile(await current(), (name) =>
    name
      .replace(/^body\.(\d+)\.rdb/, 'RRDB_trunk.$1.RDB')
      .replace(/^conv_body\./, 'trunk_conv.')
      .replace(/^conv_up(\d)\./, 'upconv$1.')
      .replace(/^conv_hr\./, 'HRconv.'),
  );

describe.each([
  ["Real-ESRGAN's names", current],
  ["the first ESRGAN's names", old],
  ['the names of a training state', wrapped],
  ["the first ESRGAN's modules", byModule],
] as const)('an upscaler with %s', (_, files) => {
  let compiled: CompiledParts;

  it.each(references.cases.map((c) => [c.name, c] as const))(
    '%s',
    async (_, { inputs, outputs }) => {
      compiled ??= await compileParts(await openUpscaler(await files()));
      const { data, shape } = references.tensor(inputs.image!);
      const [batch = 0, , latentHeight = 0, latentWidth = 0] = shape;
      const size = { batch, latentHeight, latentWidth, tokens: 1 };
      const { upscaled } = await runComponent(compiled.components[0]!, compiled.sink, size, {
        image: f32(data, shape),
      });
      expect(upscaled!.dims).toEqual([1, 3, 4 * latentHeight, 4 * latentWidth]);
      const expected = outputs.image!;
      expect(maxDifference(upscaled!.data, references.tensor(expected).data)).toBeLessThanOrEqual(
        references.tolerance(expected),
      );
    },
  );
});

/** Zeros but for what `fill` sets; one block of one feature each. */
function rrdbnet(
  change: { folded?: number; doublings?: number },
  fill: (name: string, values: Float32Array) => void,
) {
  const { folded = 3, doublings = 2 } = change;
  const features = 48;
  const shapes: Record<string, readonly number[]> = { conv_first: [features, folded, 3, 3] };
  for (let dense = 1; dense <= 3; dense++) {
    for (let index = 1; index <= 4; index++) {
      shapes[`body.0.rdb${dense}.conv${index}`] = [2, features + 2 * (index - 1), 3, 3];
    }
    shapes[`body.0.rdb${dense}.conv5`] = [features, features + 8, 3, 3];
  }
  shapes.conv_body = [features, features, 3, 3];
  for (let index = 1; index <= doublings; index++)
    shapes[`conv_up${index}`] = [features, features, 3, 3];
  shapes.conv_hr = [features, features, 3, 3];
  shapes.conv_last = [3, features, 3, 3];
  const tensors: Record<string, TensorBytes> = {};
  for (const [name, shape] of Object.entries(shapes)) {
    const values = new Float32Array(shape.reduce((product, side) => product * side, 1));
    fill(name, values);
    tensors[`${name}.weight`] = { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) };
    const bias = new Uint8Array(4 * shape[0]!);
    tensors[`${name}.bias`] = { dtype: 'F32', shape: [shape[0]!], bytes: bias };
  }
  const file = memorySource('u.safetensors', writeSafetensors(tensors));
  return { name: 'u', files: [file] } satisfies ModelFiles;
}

describe('the scale of an upscaler', () => {
  it.each([
    [48, 2, 1],
    [12, 2, 2],
    [3, 2, 4],
    [3, 1, 2],
    [3, 3, 8],
  ])('%i channels in and %i doublings make %i', async (folded, doublings, scale) => {
    const { components } = await openUpscaler(rrdbnet({ folded, doublings }, () => {}));
    expect(upscalerScale(components[0]!.config as RrdbnetConfig)).toBe(scale);
  });

  it('folds squares of pixels channel by channel, as torch does', async () => {
    // The middle tap of each convolution passes feature n on; the last shows features 0, 5 and 10.
    const files = rrdbnet({ folded: 12, doublings: 2 }, (name, values) => {
      const outputs = name === 'conv_last' ? [0, 5, 10] : Array.from({ length: 12 }, (_, n) => n);
      const inputs = name === 'conv_first' ? 12 : 48;
      if (name === 'conv_body' || name.startsWith('body')) return;
      outputs.forEach((from, to) => {
        values[(to * inputs + from) * 9 + 4] = 1;
      });
    });
    const compiled = await compileParts(await openUpscaler(files));
    const image = Float32Array.from({ length: 48 }, (_, index) => index);
    const shape = { batch: 1, latentHeight: 4, latentWidth: 4, tokens: 1 };
    const { upscaled } = await runComponent(compiled.components[0]!, compiled.sink, shape, {
      image: f32(image, [1, 3, 4, 4]),
    });
    expect(upscaled!.dims).toEqual([1, 3, 8, 8]);
    // Feature c·4 + i·2 + j of the first square is pixel (i, j) of channel c.
    const first = [0, 1, 2].map((channel) => upscaled!.data[channel * 64]);
    expect(first).toEqual([image[0], image[16 + 1], image[32 + 4]]);
  });

  it('refuses what is no upscaler of RGB pictures', async () => {
    const files = rrdbnet({ folded: 7 }, () => {});
    await expect(openUpscaler(files)).rejects.toThrow('u.safetensors: makes 3 channels of 7');
  });
});

describe('an upscaler that is refused', () => {
  it('names a missing tensor', async () => {
    const files = await renamedFile(await current(), (name) =>
      name === 'body.0.rdb2.conv3.bias' ? null : name,
    );
    await expect(openUpscaler(files)).rejects.toThrow(
      'renamed.safetensors: tensor "body.0.rdb2.conv3.bias" [32] is missing.',
    );
  });

  it('names a tensor that nothing uses, as the file does', async () => {
    const extra = {
      'model.1.sub.0.conv1x1.weight': { dtype: 'F32', shape: [1], bytes: new Uint8Array(4) },
    };
    const files = await renamedFile(await old(), (name) => name, 'plus.safetensors', extra);
    await expect(openUpscaler(files)).rejects.toThrow(
      'plus.safetensors: holds the tensor "model.1.sub.0.conv1x1.weight"',
    );
  });

  it('has one graph a tile size', async () => {
    const { components } = await compileParts(await openUpscaler(await current()));
    const shape = { batch: 1, latentHeight: 0, latentWidth: 8, tokens: 1 };
    expect(() => buildGraph(components[0]!, shape)).toThrow('whole number from 1');
  });
});
