import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test, vi } from 'vitest';
import { parseAutoencoderKlConfig } from '../../web/compiler/config/autoencoder-kl-config.ts';
import type { CompiledModel } from '../../web/compiler/model.ts';
import { buildVaeDecoder, buildVaeEncoder } from '../../web/compiler/models/autoencoder-kl.ts';
import { GraphBuilder } from '../../web/compiler/onnx/graph-builder.ts';
import { assertFits, largestTile } from '../../web/engine/device-limits.ts';
import { NODE_DEVICE } from '../fakes/engine-access.ts';

/** Stable Diffusion 1.5 as far as sizes matter. */
const MODEL = {
  description: { vaeFactor: 8 },
  components: [
    { name: 'unet', config: { down: [{ channels: 320 }] }, shardSizes: [1.7e9] },
    { name: 'vae_decoder', config: { blockOutChannels: [128, 256, 512, 512] }, shardSizes: [2e8] },
  ],
} as unknown as CompiledModel;

const gpu = (mebibytes: number) => ({
  ...NODE_DEVICE,
  provider: 'webgpu' as const,
  maxBufferBytes: mebibytes * 2 ** 20,
  maxStorageBindingBytes: mebibytes * 2 ** 20,
});

describe('what a device holds', () => {
  test.each([
    [2048, 152],
    [1024, 128],
    [128, 45],
    [16, 16],
  ])('a binding of %i MiB holds a VAE tile of %i latents', (mebibytes, latents) => {
    expect(largestTile(MODEL, gpu(mebibytes))).toBe(latents);
  });

  test('the wasm memory holds weights and three tensors', () => {
    expect(largestTile(MODEL, NODE_DEVICE)).toBe(114);
  });

  test('a picture too large for the VAE alone is made, in tiles', () => {
    const size = { width: 1024, height: 1024, pictures: 1 };
    expect(() => assertFits(size, MODEL, gpu(256))).not.toThrow();
  });

  test('a job too large for the UNet is refused with figures and advice', () => {
    const size = { width: 1024, height: 1024, pictures: 8 };
    expect(() => assertFits(size, MODEL, gpu(256))).toThrow(
      /8 × 1024×1024 needs a block of 0.94 GiB on this device \(processor\), which holds at most 0.25 GiB. Ask for fewer pictures at once/,
    );
  });

  test('a device that holds no useful tile is told the largest picture', () => {
    const size = { width: 512, height: 512, pictures: 1 };
    expect(() => assertFits(size, MODEL, gpu(8))).toThrow(/About 88×88 is the most it holds/);
  });
});

describe('the VAE of SDXL at 1024×1024', () => {
  const SIDE = 128;
  /** Latents a side of a tile, where the whole picture is too large. */
  const COMMON = 64;
  const MEBIBYTE = 2 ** 20;
  const full = new URL('../fixtures/models/full-keys/sdxl-base.diffusers.json.gz', import.meta.url);
  const { configs } = JSON.parse(gunzipSync(readFileSync(full)).toString());
  const config = parseAutoencoderKlConfig('vae', configs.vae);
  const sdxl = {
    description: { vaeFactor: 8 },
    components: [{ name: 'vae_decoder', config, shardSizes: [2e8] }],
  } as unknown as CompiledModel;

  /** Bytes of the largest tensor in the graph for that many latents a side, attention's scores among them. */
  function largestTensor(name: 'vae_encoder' | 'vae_decoder', side: number): number {
    let largest = 0;
    const spy = vi.spyOn(GraphBuilder.prototype, 'ops');
    const shape = { batch: 1, latentHeight: side, latentWidth: side, tokens: 0 };
    const weights = () => ({ dtype: 'float32', location: '', offset: 0, sizeBytes: 0 }) as const;
    const g = new GraphBuilder(name, { dtype: 'float32', provider: 'webgpu', weights });
    if (name === 'vae_encoder') buildVaeEncoder(g, config, shape);
    else buildVaeDecoder(g, config, shape);
    for (const [type, , outputs] of spy.mock.calls) {
      for (const output of outputs) {
        const elements = output?.shape.reduce((product, length) => product * length, 1) ?? 0;
        const tokens = type === 'MultiHeadAttention' ? (output?.shape[1] ?? 0) : 0;
        largest = Math.max(largest, elements, tokens ** 2);
      }
    }
    spy.mockRestore();
    return largest * 4;
  }

  test.each([
    ['128 MiB, a phone', 128, 45],
    ['256 MiB', 256, 64],
    ['512 MiB', 512, COMMON],
    ['1 GiB, integrated', 1024, SIDE],
    ['2 GiB, a card', 2048, SIDE],
  ] as const)('with a binding of %s is done in tiles that fit', (_, mebibytes, tile) => {
    const limit = mebibytes * MEBIBYTE;
    const most = largestTile(sdxl, gpu(mebibytes));
    const side = most >= SIDE ? SIDE : Math.min(most, COMMON);
    expect(side).toBe(tile);
    for (const name of ['vae_encoder', 'vae_decoder'] as const) {
      expect(largestTensor(name, side)).toBeLessThanOrEqual(limit);
    }
    // As few tiles as can be: the whole picture is cut only where it does not fit.
    const whole = largestTensor('vae_decoder', SIDE);
    expect(whole).toBe(1024 * MEBIBYTE);
    expect(side === SIDE).toBe(whole <= limit);
  });
});
