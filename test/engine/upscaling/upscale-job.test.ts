import { expect, it } from 'vitest';
import { generationParams, upscaleParams } from '../../../protocol/generation.ts';
import type { Pixels } from '../../../web/engine/images/pixels.ts';
import { runUpscaleJob } from '../../../web/engine/upscaling/upscale-job.ts';

it('enlarges the three colours of a decoded picture, which has four bytes a pixel', async () => {
  const seen: Pixels[] = [];
  const params = generationParams.parse({
    ...{ mode: 'upscale', initImages: ['UElD'] },
    upscale: upscaleParams.parse({ upscaler: 'Nearest', scale: 2 }),
  });
  const summary = await runUpscaleJob(params, {}, () => false, {
    access: {
      decodeImage: async () => ({
        width: 2,
        height: 1,
        data: Uint8Array.of(1, 2, 3, 255, 4, 5, 6, 0),
      }),
      async encodeImage(pixels) {
        seen.push(pixels);
        return new Uint8Array(1);
      },
    },
    upscalers: { upscale: async (pixels) => pixels },
  });
  expect([summary.width, summary.height]).toEqual([2, 1]);
  expect([...(seen[0]?.data ?? [])]).toEqual([1, 2, 3, 4, 5, 6]);
});
