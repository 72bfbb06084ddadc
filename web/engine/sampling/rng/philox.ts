import type { NormalGenerator } from './normal-generator.ts';

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9;
const KEY_STEP_1 = 0xbb67ae85;
const ROUNDS = 10;

const TWO_POW_32 = 2 ** 32;
/** 2 pi / 2^32, rounded to float32 as cuRAND has it. */
const ANGLE_PER_WORD = Math.fround(Math.fround(2.3283064e-10) * Math.fround(6.2831855));
const HALF_ANGLE = Math.fround(ANGLE_PER_WORD / 2);

/**
 * Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) in the arrangement of cuRAND:
 * writes the first two result words of the counters (call, 0, index, 0) into `words`, two an index.
 */
function philoxWords(seed: number, call: number, words: Uint32Array): void {
  const keyLow = (seed % TWO_POW_32) | 0;
  const keyHigh = Math.floor(seed / TWO_POW_32) | 0;
  const count = words.length / 2;
  for (let index = 0; index < count; index++) {
    let c0 = call >>> 0;
    let c1 = 0;
    let c2 = index;
    let c3 = 0;
    let k0 = keyLow;
    let k1 = keyHigh;
    for (let round = 0; round < ROUNDS; round++) {
      const low0 = Math.imul(c0, MULTIPLIER_0);
      const low1 = Math.imul(c2, MULTIPLIER_1);
      const high0 = highWord(c0 * MULTIPLIER_0, low0);
      const high1 = highWord(c2 * MULTIPLIER_1, low1);
      c0 = (high1 ^ c1 ^ k0) >>> 0;
      c1 = low1;
      c2 = (high0 ^ c3 ^ k1) >>> 0;
      c3 = low0;
      k0 = (k0 + KEY_STEP_0) | 0;
      k1 = (k1 + KEY_STEP_1) | 0;
    }
    words[2 * index] = c0;
    words[2 * index + 1] = c1;
  }
}

/**
 * The high word of a product of two 32-bit words. The double is off by 2^10 at most, so without the low word it rounds
 * to the right multiple of 2^32.
 */
function highWord(product: number, low: number): number {
  return ((product - (low >>> 0)) / TWO_POW_32 + 0.5) >>> 0;
}

/**
 * The normals that an NVIDIA card gives for a seed, which A1111 imitates as "NV": Box-Muller over Philox words.
 * A value depends on seed, number of the call and index alone, so a tensor's first values do not depend on its size.
 */
export function createPhilox(seed: number): NormalGenerator {
  let call = 0;
  return {
    randn(count) {
      const words = new Uint32Array(2 * count);
      philoxWords(seed, call, words);
      call += 1;
      const normals = new Float32Array(count);
      for (let i = 0; i < count; i++) {
        const u = (words[2 * i] as number) / TWO_POW_32 + 0.5 / TWO_POW_32;
        const v = (words[2 * i + 1] as number) * ANGLE_PER_WORD + HALF_ANGLE;
        normals[i] = Math.sqrt(-2 * Math.log(u)) * Math.sin(v);
      }
      return normals;
    },
  };
}

/** The first two Philox words of one counter, as cuRAND uses them for a normal. */
export function philoxPair(seed: number, call: number, index: number): [number, number] {
  const words = new Uint32Array(2 * (index + 1));
  philoxWords(seed, call, words);
  return [words[2 * index] as number, words[2 * index + 1] as number];
}
