import type { TextContext } from './diffusion-model.ts';
import {
  alignConditioning,
  type Conditioning,
  stackConditionings,
  type UncondPadding,
} from './prompt/conditioning.ts';

/** The texts of one call of the UNet. */
export interface CallContexts {
  /** Parts of the prompt: one, or those that AND joins. */
  readonly parts: readonly TextContext[];
  readonly negative: TextContext | null;
}

export interface AlignmentOptions {
  readonly padding: UncondPadding;
  /** Context of an empty prompt, which `pad` fills with; null where it does not. */
  readonly empty: TextContext | null;
  /** Told when a call's prompt and negative prompt were brought to one length. */
  readonly onPad?: () => void;
}

/**
 * Brings the texts of a call to the lengths that A1111 gives them: parts of unlike lengths to the longest by repeating
 * their last vector, prompt and negative prompt as `padding` says. The same contexts become the same ones every time,
 * so that what was uploaded for them serves again.
 */
export function createContextAlignment({ padding, empty, onPad }: AlignmentOptions) {
  const ids = new Map<TextContext, number>();
  const known = new Map<string, CallContexts & { readonly isPadded: boolean }>();

  function idOf(context: TextContext): number {
    const id = ids.get(context) ?? ids.size;
    ids.set(context, id);
    return id;
  }

  return ({ parts, negative }: CallContexts): CallContexts => {
    const all = negative ? [...parts, negative] : parts;
    if (all.every(({ tokens }) => tokens === all[0]?.tokens)) return { parts, negative };
    const key = all.map(idOf).join(',');
    let made = known.get(key);
    if (!made) {
      const even = stacked(parts);
      const aligned = alignWith(even, negative, padding, empty);
      const isPadded =
        aligned.negative !== negative || aligned.parts.some((part, place) => part !== even[place]);
      made = { ...aligned, isPadded };
      known.set(key, made);
    }
    if (made.isPadded) onPad?.();
    return made;
  };
}

function stacked(parts: readonly TextContext[]): readonly TextContext[] {
  const tokens = Math.max(...parts.map((part) => part.tokens));
  if (parts.every((part) => part.tokens === tokens)) return parts;
  const { values, channels } = stackConditionings(parts.map(asConditioning));
  const size = tokens * channels;
  return parts.map((part, row) =>
    part.tokens === tokens
      ? part
      : { ...part, tokens, values: values.slice(row * size, (row + 1) * size) },
  );
}

function alignWith(
  parts: readonly TextContext[],
  negative: TextContext | null,
  padding: UncondPadding,
  empty: TextContext | null,
): CallContexts {
  if (!negative || padding === 'separate') return { parts, negative };
  const filler = asConditioning(empty ?? negative);
  let uncond = negative;
  const conds = parts.map((part) => {
    const made = alignConditioning(asConditioning(part), asConditioning(negative), padding, filler);
    uncond = withLength(negative, made.uncond);
    return withLength(part, made.cond);
  });
  return { parts: conds, negative: uncond };
}

function withLength(context: TextContext, { values, tokens }: Conditioning): TextContext {
  return tokens === context.tokens ? context : { ...context, tokens, values };
}

function asConditioning({ tokens, values }: TextContext): Conditioning {
  return { tokens, values, channels: values.length / tokens };
}
