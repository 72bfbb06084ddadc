import { describe, expect, test } from 'vitest';
import type { CompiledModel } from '../../web/compiler/model.ts';
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
    [2048, 181],
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
