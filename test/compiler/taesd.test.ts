import { describe, expect, it } from 'vitest';
import { openTaesd } from '../../web/compiler/layouts/taesd-file.ts';
import { type CompiledParts, compileParts, fixtureFiles, renamedFile } from './lib/parts.ts';
import { readReferences } from './lib/references.ts';
import { f32, maxDifference, runComponent } from './lib/runtime.ts';

const references = await readReferences('taesd-tiny');
const folder = () =>
  fixtureFiles('taesd-tiny/diffusion_pytorch_model.safetensors', 'taesd-tiny/config.json');
const encoder = () => fixtureFiles('taesd-tiny/taesd_encoder.safetensors');
const decoder = () => fixtureFiles('taesd-tiny/taesd_decoder.safetensors');

async function pair() {
  const files = [...(await encoder()).files, ...(await decoder()).files];
  return { name: 'taesd', files };
}

describe.each([
  ['an AutoencoderTiny folder', folder],
  ['the two original files', pair],
] as const)('TAESD from %s', (_, files) => {
  let compiled: CompiledParts;

  it.each(references.cases.map((c) => [c.name, c] as const))('%s', async (_, c) => {
    compiled ??= await compileParts(await openTaesd(await files()));
    const name = c.inputs.image ? 'taesd_encoder' : 'taesd_decoder';
    const part = compiled.components.find((candidate) => candidate.name === name)!;
    const { data, shape } = references.tensor((c.inputs.image ?? c.inputs.latent)!);
    const [batch = 0, , height = 0, width = 0] = shape;
    const factor = c.inputs.image ? 8 : 1;
    const size = { batch, tokens: 1, latentHeight: height / factor, latentWidth: width / factor };
    const input = f32(data, shape);
    const feeds = c.inputs.image ? { sample: input } : { latents: input };
    const results = await runComponent(part, compiled.sink, size, feeds);
    const [found, expected] = c.inputs.image
      ? [results.latents!, c.outputs.latent!]
      : [results.image!, c.outputs.image!];
    expect(maxDifference(found.data, references.tensor(expected).data)).toBeLessThanOrEqual(
      references.tolerance(expected),
    );
  });
});

describe('a TAESD file', () => {
  it('may hold the decoder alone', async () => {
    const { components } = await openTaesd(await decoder());
    expect(components.map(({ name }) => name)).toEqual(['taesd_decoder']);
  });

  it('may hold both halves under prefixes', async () => {
    const parts = await Promise.all([encoder(), decoder()]);
    const prefixed = await Promise.all(
      parts.map((files, place) =>
        renamedFile(
          files,
          (name) => `taesd_${place === 0 ? 'encoder' : 'decoder'}.${name}`,
          `${place}.safetensors`,
        ),
      ),
    );
    const files = { name: 'taesd', files: prefixed.flatMap((part) => part.files) };
    const { components } = await openTaesd(files);
    expect(components.map(({ name }) => name)).toEqual(['taesd_encoder', 'taesd_decoder']);
  });

  it('names what is missing, as the file does', async () => {
    const files = await renamedFile(await decoder(), (name) =>
      name === '8.conv.2.bias' ? null : name,
    );
    await expect(openTaesd(files)).rejects.toThrow(
      '"decoder.layers.7.conv.2.bias" [64] is missing.',
    );
  });

  it('that is no TAESD is refused by its tensor', async () => {
    await expect(openTaesd(await fixtureFiles('vae-tiny.safetensors'))).rejects.toThrow(
      'which no TAESD has',
    );
  });
});
