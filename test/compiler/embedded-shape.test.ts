import { beforeAll, describe, expect, it } from 'vitest';
import { type Checkpoint, openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { CompiledModel } from '../../web/compiler/model.ts';
import { component, f32, i32, MemorySink, maxDifference, runComponent } from './lib/runtime.ts';
import { BOS, EOS, syntheticFolder } from './lib/synthetic.ts';

/** Factor 32, 16 latent channels, 2 norm groups, 4,096 tokens: what the model Easel carries looks like. */

let checkpoint: Checkpoint;
let model: CompiledModel;
const sink = new MemorySink();

beforeAll(async () => {
  checkpoint = await openCheckpoint(syntheticFolder());
  model = await compileCheckpoint(checkpoint, { precision: 'fp32', sink });
});

const noise = (count: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898));
const spread = (values: Float32Array) => Math.max(...values) - Math.min(...values);

describe('a model of unusual shape', () => {
  it('is described by what its files say', () => {
    expect(checkpoint.description).toMatchObject({
      family: 'sd1',
      predictionType: 'v_prediction',
      latentChannels: 16,
      vaeFactor: 32,
      scalingFactor: 1,
      shiftFactor: 0.25,
      unetInChannels: 16,
      nativeResolution: 512,
    });
    const [encoder] = checkpoint.description.textEncoders;
    expect(encoder).toMatchObject({ vocabSize: 4096, bosId: BOS, eosId: EOS, padId: EOS });
    expect(encoder?.tokenizer?.merges).toEqual(['a b', 'ab c']);
    expect(encoder?.tokenizer?.vocab.t7).toBe(7);
  });

  it('names every file that the result depends on', () => {
    const paths = checkpoint.sources.map(({ path }) => path);
    expect(paths).toEqual([...paths].sort());
    expect(paths).toEqual(
      expect.arrayContaining([
        'unet/config.json',
        'tokenizer/vocab.json',
        'vae/diffusion_pytorch_model.safetensors',
      ]),
    );
  });

  it('encodes text, also fewer tokens than the context holds', async () => {
    for (const tokens of [77, 20]) {
      const ids = [BOS, 5, 6, 7, EOS, ...Array(tokens - 5).fill(EOS)];
      const shape = { batch: 1, tokens, latentHeight: 1, latentWidth: 1 };
      const feeds = { input_ids: i32(ids, [1, tokens]) };
      const text = component(model, 'text_encoder');
      const result = await runComponent(text, sink, shape, feeds, { pooled: true });
      expect(result.hidden_states!.dims).toEqual([1, tokens, 16]);
      const atEos = result.hidden_states!.data.slice(4 * 16, 5 * 16);
      expect(maxDifference(result.pooled!.data, atEos)).toBeLessThan(1e-6);
    }
  });

  it('runs the UNet at 16 channels', async () => {
    const shape = { batch: 2, tokens: 77, latentHeight: 5, latentWidth: 7 };
    const result = await runComponent(component(model, 'unet'), sink, shape, {
      sample: f32(noise(2 * 16 * 35), [2, 16, 5, 7]),
      timestep: f32([999, 0], [2]),
      encoder_hidden_states: f32(noise(2 * 77 * 16), [2, 77, 16]),
    });
    expect(result.out_sample!.dims).toEqual([2, 16, 5, 7]);
    expect(result.out_sample!.data.every(Number.isFinite)).toBe(true);
    expect(spread(result.out_sample!.data)).toBeGreaterThan(0.1);
  });

  it('encodes and decodes pictures 32 times the size of the latents', async () => {
    const shape = { batch: 1, tokens: 1, latentHeight: 2, latentWidth: 3 };
    const sample = f32(noise(3 * 64 * 96), [1, 3, 64, 96]);
    const encoded = await runComponent(component(model, 'vae_encoder'), sink, shape, { sample });
    expect(encoded.latent_mean!.dims).toEqual([1, 16, 2, 3]);
    expect(encoded.latent_std!.data.every((value) => value > 0)).toBe(true);
    const decode = (latents: Float32Array) =>
      runComponent(component(model, 'vae_decoder'), sink, shape, {
        latents: f32(latents, [1, 16, 2, 3]),
      });
    const { image } = await decode(encoded.latent_mean!.data);
    expect(image!.dims).toEqual([1, 3, 64, 96]);
    expect(spread(image!.data)).toBeGreaterThan(0.1);
  });

  it('divides by the scaling factor and adds the shift before decoding', async () => {
    const folder = (scaling_factor: number, shift_factor: number | null) =>
      syntheticFolder({ configs: { 'vae/config.json': { scaling_factor, shift_factor } } });
    const decode = async (files: ReturnType<typeof folder>, latents: Float32Array) => {
      const own = new MemorySink();
      const opened = await openCheckpoint(files);
      const compiled = await compileCheckpoint(opened, {
        precision: 'fp32',
        sink: own,
        components: ['vae_decoder'],
      });
      const shape = { batch: 1, tokens: 1, latentHeight: 1, latentWidth: 1 };
      const feeds = { latents: f32(latents, [1, 16, 1, 1]) };
      return (await runComponent(compiled.components[0]!, own, shape, feeds)).image!.data;
    };
    const latents = noise(16);
    const plain = await decode(
      folder(1, null),
      latents.map((value) => value / 0.4 + 0.3),
    );
    expect(maxDifference(await decode(folder(0.4, 0.3), latents), plain)).toBeLessThan(1e-5);
    expect(maxDifference(await decode(folder(0.4, null), latents), plain)).toBeGreaterThan(1e-3);
  });
});
