/** A text's conditioning: [tokens, channels], row-major. */
export interface Conditioning {
  readonly values: Float32Array;
  readonly tokens: number;
  readonly channels: number;
}

/** Several conditionings as one batch: [rows, tokens, channels]. */
export interface StackedConditioning extends Conditioning {
  readonly rows: number;
}

/** Stacks conditionings of one width; shorter ones repeat their last vector, as A1111 does for AND parts. */
export function stackConditionings(conditionings: readonly Conditioning[]): StackedConditioning {
  const tokens = Math.max(0, ...conditionings.map((cond) => cond.tokens));
  const channels = conditionings[0]?.channels ?? 0;
  const values = new Float32Array(conditionings.length * tokens * channels);
  for (const [row, cond] of conditionings.entries()) {
    const resized = resizeByLast(cond, tokens);
    values.set(resized.values, row * tokens * channels);
  }
  return { values, rows: conditionings.length, tokens, channels };
}

/** How cond and uncond of unequal length are brought together for one batch. */
export type UncondPadding =
  /** A1111's default: they are not, and are denoised apart. */
  | 'separate'
  /** `pad_cond_uncond`: the shorter one is filled with the conditioning of an empty prompt. */
  | 'pad'
  /** `pad_cond_uncond_v0`: uncond is cut, or filled with its own last vector. */
  | 'pad-v0';

export interface AlignedConditioning {
  readonly cond: Conditioning;
  readonly uncond: Conditioning;
  /** True where lengths differed and were made equal: the infotext says so (`Pad conds`, `Pad conds v0`). */
  readonly isPadded: boolean;
}

/**
 * Makes one image's cond and uncond equally long by the chosen rule. `empty` is the conditioning of an empty prompt,
 * one chunk long, which `pad` repeats.
 */
export function alignConditioning(
  cond: Conditioning,
  uncond: Conditioning,
  padding: UncondPadding,
  empty: Conditioning,
): AlignedConditioning {
  if (cond.tokens === uncond.tokens || padding === 'separate') {
    return { cond, uncond, isPadded: false };
  }
  if (padding === 'pad-v0') {
    return { cond, uncond: resizeByLast(uncond, cond.tokens), isPadded: true };
  }
  const repeats = Math.floor(Math.abs(cond.tokens - uncond.tokens) / empty.tokens);
  if (repeats === 0) return { cond, uncond, isPadded: false };
  const isCondShorter = cond.tokens < uncond.tokens;
  return {
    cond: isCondShorter ? appendRepeated(cond, empty, repeats) : cond,
    uncond: isCondShorter ? uncond : appendRepeated(uncond, empty, repeats),
    isPadded: true,
  };
}

function appendRepeated(cond: Conditioning, tail: Conditioning, repeats: number): Conditioning {
  const values = new Float32Array(cond.values.length + repeats * tail.values.length);
  values.set(cond.values);
  for (let i = 0; i < repeats; i++) {
    values.set(tail.values, cond.values.length + i * tail.values.length);
  }
  return { values, tokens: cond.tokens + repeats * tail.tokens, channels: cond.channels };
}

function resizeByLast(cond: Conditioning, tokens: number): Conditioning {
  const { channels } = cond;
  if (tokens <= cond.tokens) {
    return { values: cond.values.subarray(0, tokens * channels), tokens, channels };
  }
  const values = new Float32Array(tokens * channels);
  values.set(cond.values);
  const last = cond.values.subarray((cond.tokens - 1) * channels);
  for (let token = cond.tokens; token < tokens; token++) values.set(last, token * channels);
  return { values, tokens, channels };
}
