import type { BatchChannels } from '../diffusion-model.ts';
import { createFloat32Math } from '../sampling/float32-math.ts';
import type { LatentOps } from './latent-ops.ts';
import type { Runtime } from './runtime.ts';

/** `x` · share + known, value by value. */
export function blendArrays(
  x: Float32Array,
  share: Float32Array,
  known: Float32Array,
): Float32Array {
  return x.map((value, i) => value * (share[i] as number) + (known[i] as number));
}

/** Latents in JavaScript memory, for the wasm provider. */
export function createArrayLatentOps(
  runtime: Runtime,
  { pictures, channels, height, width, inpaintChannels = null }: BatchChannels,
): LatentOps<Float32Array> {
  const size = channels * height * width;
  return {
    math: createFloat32Math(),
    async prepare(x, scale, copies, isBare = false) {
      const factor = Math.fround(scale);
      const extra = isBare ? 0 : (inpaintChannels?.length ?? 0) / pictures;
      const one = new Float32Array(x.length + extra * pictures);
      for (let picture = 0; picture < pictures; picture++) {
        const start = picture * (size + extra);
        for (let i = 0; i < size; i++) one[start + i] = (x[picture * size + i] as number) * factor;
        const known =
          extra > 0 && inpaintChannels?.subarray(picture * extra, (picture + 1) * extra);
        if (known) one.set(known, start + size);
      }
      const sample = new Float32Array(one.length * copies);
      for (let copy = 0; copy < copies; copy++) sample.set(one, copy * one.length);
      const rows = copies * pictures;
      return runtime.tensor(sample, [rows, channels + extra / (height * width), height, width]);
    },
    createBlend: (share, known) => async (x) => blendArrays(x, share, known),
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
