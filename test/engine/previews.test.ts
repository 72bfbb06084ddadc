import { describe, expect, it } from 'vitest';
import type { LatentSpace } from '../../web/engine/diffusion-model.ts';
import { createPreviewer } from '../../web/engine/previews.ts';

const SD1 = { family: 'sd1', latentChannels: 4, vaeFactor: 8 } as const;

function space(decoded: () => void = () => {}): LatentSpace<Float32Array> {
  return {
    math: { toArray: async (latents: Float32Array) => latents },
    async decode() {
      decoded();
      return new Float32Array(3 * 512 * 256).fill(1);
    },
  } as unknown as LatentSpace<Float32Array>;
}

describe('the preview of latents', () => {
  it('mixes the four channels of Stable Diffusion into colours', async () => {
    const latents = new Float32Array(4 * 64 * 32);
    latents.fill(1, 0, 64 * 32);
    const previewer = createPreviewer(SD1, { size: { width: 256, height: 512 }, method: 'cheap' });
    const pixels = await previewer.make(space(), latents);
    expect([pixels?.width, pixels?.height]).toEqual([128, 256]);
    // (factor + 1) / 2 · 255 of the first channel's row.
    expect([...pixels!.data.subarray(0, 3)]).toEqual([172, 156, 168]);
  });

  it('of SDXL has other colours', async () => {
    const latents = new Float32Array(4 * 16 * 16).fill(1);
    const size = { width: 128, height: 128 };
    const of = async (family: 'sd1' | 'sdxl') =>
      (await createPreviewer({ ...SD1, family }, { size, method: 'cheap' }).make(
        space(),
        latents,
      ))!.data.slice(0, 3);
    expect(await of('sd1')).not.toEqual(await of('sdxl'));
  });

  it('of other latents is the decoder’s, for a tenth of the time at most', async () => {
    let clock = 0;
    let decodes = 0;
    const decoding = space(() => {
      decodes += 1;
      clock += 100;
    });
    const previewer = createPreviewer(
      { family: 'sd1', latentChannels: 16, vaeFactor: 32 },
      { size: { width: 256, height: 512 }, method: 'taesd', now: () => clock },
    );
    const first = await previewer.make(decoding, new Float32Array(1));
    expect([first?.width, first?.height]).toEqual([128, 256]);
    clock = 500;
    expect(await previewer.make(decoding, new Float32Array(1))).toBeNull();
    clock = 1_100;
    expect(await previewer.make(decoding, new Float32Array(1))).not.toBeNull();
    expect(decodes).toBe(2);
  });
});
