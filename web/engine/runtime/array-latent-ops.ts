import type { BatchShape } from '../diffusion-model.ts';
import { createFloat32Math } from '../sampling/float32-math.ts';
import type { LatentOps } from './latent-ops.ts';
import type { Runtime } from './runtime.ts';

/** Latents in JavaScript memory, for the wasm provider. */
export function createArrayLatentOps(
  runtime: Runtime,
  { pictures, channels, height, width }: BatchShape,
): LatentOps<Float32Array> {
  const size = channels * height * width;
  return {
    math: createFloat32Math(),
    async prepare(x, scale, copies) {
      const sample = new Float32Array(x.length * copies);
      const factor = Math.fround(scale);
      for (let i = 0; i < x.length; i++) sample[i] = (x[i] as number) * factor;
      if (copies === 2) sample.copyWithin(x.length, 0, x.length);
      return runtime.tensor(sample, [copies * pictures, channels, height, width]);
    },
    async mix(x, answer, coefficients, copies) {
      const values = await answer.read();
      const [ofX = 0, ofFirst = 0, ofSecond = 0] = coefficients;
      const out = new Float32Array(x.length);
      for (let i = 0; i < x.length; i++) {
        const second = copies === 2 ? ofSecond * (values[i + x.length] as number) : 0;
        out[i] = ofX * (x[i] as number) + ofFirst * (values[i] as number) + second;
      }
      return out;
    },
    async picture(latents, index) {
      const values = latents.slice(index * size, (index + 1) * size);
      return runtime.tensor(values, [1, channels, height, width]);
    },
    dispose() {},
  };
}
