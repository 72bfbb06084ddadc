import type { ModelDescription, ModelFamily, TextEncoderDescription } from '../model.ts';
import type { ClipTextConfig } from '../models/clip-text.ts';
import type { UnetConfig } from '../models/unet.ts';
import type { TokenizerDescription } from './tokenizer.ts';

/** What the layouts say of a checkpoint in the same words. */

/**
 * The states that a family was trained with: SD 1 the last layer's unless a user skips some, SD 2 those
 * of the tower as it is kept (its last layer is dropped by then), SDXL the last layer's but one before
 * the final norm.
 */
export function textStates(family: ModelFamily): TextEncoderDescription['states'] {
  const isXl = family === 'sdxl';
  return { clipSkip: isXl ? 2 : 1, finalNorm: !isXl, followsClipSkip: family === 'sd1' };
}

export function describeTextEncoder(
  component: TextEncoderDescription['component'],
  config: ClipTextConfig,
  tokens: TokenizerDescription,
  states: TextEncoderDescription['states'],
): TextEncoderDescription {
  const { layers, hiddenSize, contextLength, vocabSize, projection } = config;
  return {
    component,
    ...{ layers, hiddenSize, contextLength, vocabSize },
    ...tokens,
    states,
    projectionSize: projection?.size ?? null,
  };
}

export function unetInputs({
  textTime,
  timestepCondSize,
}: UnetConfig): ModelDescription['unetInputs'] {
  return {
    textEmbeds: textTime?.textEmbedsSize ?? null,
    timeIds: textTime?.timeIds ?? null,
    timestepCond: timestepCondSize,
  };
}
