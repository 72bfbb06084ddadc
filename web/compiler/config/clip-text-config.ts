import type { ClipTextConfig } from '../models/clip-text.ts';
import { ConfigReader } from './reader.ts';

/**
 * Reads the `config.json` of a transformers `CLIPTextModel` or `CLIPTextModelWithProjection`. Such files may carry all of transformers'
 * generation defaults, so fields that no text model reads are not looked at.
 * `eosId` comes from the tokenizer: the file's own `eos_token_id` is 2 in every old checkpoint.
 */
export function parseClipTextConfig(
  file: string,
  fields: Readonly<Record<string, unknown>>,
  eosId: number,
  { hasProjection = false }: { hasProjection?: boolean } = {},
): ClipTextConfig {
  const reader = new ConfigReader(file, fields);
  const hiddenSize = reader.count('hidden_size');
  const heads = reader.count('num_attention_heads');
  if (hiddenSize % heads !== 0) {
    throw reader.wrong('num_attention_heads', `a divisor of hidden_size ${hiddenSize}`);
  }
  return {
    type: 'clip-text',
    hiddenSize,
    intermediateSize: reader.count('intermediate_size'),
    layers: reader.count('num_hidden_layers'),
    heads,
    activation: reader.choice('hidden_act', ['quick_gelu', 'gelu'], 'quick_gelu'),
    vocabSize: reader.count('vocab_size'),
    contextLength: reader.count('max_position_embeddings', 77),
    layerNormEps: reader.number('layer_norm_eps', 1e-5),
    eosId,
    projection: hasProjection
      ? { size: reader.count('projection_dim', 512), form: 'linear' }
      : null,
  };
}
