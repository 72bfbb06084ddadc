import type { BuiltGraph, CompiledComponent, GraphShape } from './model.ts';

export interface GraphOptions {
  /** Text encoders: 1 is the last layer, k the layer k - 1 before it, then the final norm. */
  readonly clipSkip?: number;
  /** Text encoders: adds the output `pooled`. */
  readonly pooled?: boolean;
  /** `webgpu` uses fused operators that only its provider has; `wasm` (the default) runs on both. */
  readonly provider?: 'webgpu' | 'wasm';
}

/**
 * The ONNX graph of a compiled component for fixed sizes; takes milliseconds and reads no weight.
 *
 * | component | inputs | outputs |
 * |---|---|---|
 * | text_encoder | `input_ids` int32 [b, tokens] | `hidden_states` f32 [b, tokens, hidden]; `pooled` f32 [b, hidden] where asked for |
 * | unet | `sample` f32 [b, c, h, w], `timestep` f32 [b], `encoder_hidden_states` f32 [b, tokens, context] | `out_sample` f32 [b, c, h, w] |
 * | vae_encoder | `sample` f32 [b, 3, H, W] in -1..1 | `latent_mean`, `latent_std` f32 [b, c, h, w], not scaled |
 * | vae_decoder | `latents` f32 [b, c, h, w] on the sampler's scale | `image` f32 [b, 3, H, W], about -1..1, not clamped |
 *
 * All are float32 at the boundary whatever the precision inside.
 */
export function buildGraph(
  component: CompiledComponent,
  shape: GraphShape,
  options: GraphOptions = {},
): BuiltGraph {
  throw new Error(`not written yet: ${component.name} ${shape.batch} ${options.clipSkip}`);
}
