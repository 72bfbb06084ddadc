import type { NormalGenerator } from './normal-generator.ts';

const STATE_WORDS = 624;
const SHIFT_WORDS = 397;
const TWIST = 0x9908b0df;
/** Sizes below this take torch's scalar path. */
const BLOCK = 16;

/** MT19937 (Matsumoto and Nishimura, 1998): successive unsigned 32-bit words of a 32-bit seed. */
function createMt19937(seed: number): () => number {
  const state = new Uint32Array(STATE_WORDS);
  state[0] = seed;
  for (let i = 1; i < STATE_WORDS; i++) {
    const previous = state[i - 1] as number;
    state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
  }
  let next = STATE_WORDS;

  function twist(): void {
    for (let i = 0; i < STATE_WORDS; i++) {
      const joined =
        ((state[i] as number) & 0x80000000) |
        ((state[(i + 1) % STATE_WORDS] as number) & 0x7fffffff);
      const shifted = (joined >>> 1) ^ (joined & 1 ? TWIST : 0);
      state[i] = (state[(i + SHIFT_WORDS) % STATE_WORDS] as number) ^ shifted;
    }
    next = 0;
  }

  return () => {
    if (next === STATE_WORDS) twist();
    let word = state[next++] as number;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  };
}

/**
 * The normals of torch's CPU generator (`torch.randn` with a seeded CPU generator), within 2e-6: torch's own
 * logarithm and cosine are vectorised approximations. Only the low 32 bits of the seed count, as in torch.
 */
export function createMersenne(seed: number): NormalGenerator {
  const word = createMt19937(seed % 2 ** 32);
  let spare: number | null = null;

  const uniform24 = () => (word() & 0xffffff) / 2 ** 24;
  const uniform53 = () => {
    const high = word() & 0x1fffff;
    return (high * 2 ** 32 + word()) / 2 ** 53;
  };

  /** Turns 16 uniforms in place into normals: the first eight are radii, the last eight angles. */
  function boxMullerBlock(values: Float32Array, start: number): void {
    for (let j = start; j < start + BLOCK / 2; j++) {
      const radius = Math.sqrt(-2 * Math.log(1 - (values[j] as number)));
      const angle = 2 * Math.PI * (values[j + BLOCK / 2] as number);
      values[j] = radius * Math.cos(angle);
      values[j + BLOCK / 2] = radius * Math.sin(angle);
    }
  }

  function randnBlocks(count: number): Float32Array {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = uniform24();
    for (let start = 0; start + BLOCK <= count; start += BLOCK) boxMullerBlock(values, start);
    if (count % BLOCK !== 0) {
      // torch draws the last block anew, over results that are already there.
      for (let i = count - BLOCK; i < count; i++) values[i] = uniform24();
      boxMullerBlock(values, count - BLOCK);
    }
    return values;
  }

  function randnOne(): number {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    const angle = 2 * Math.PI * uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-uniform53()));
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  return {
    randn: (count) =>
      count >= BLOCK ? randnBlocks(count) : Float32Array.from({ length: count }, randnOne),
  };
}
