import { floatToHalf, halfToFloat } from './half.ts';

/**
 * Weight-only quantisation as com.microsoft's `MatMulNBits` reads it: every row [in] of a matrix
 * [out, in] is cut into blocks of 32, a block has one scale s, and a weight is stored as the code
 * round(w / s) + 2^(bits - 1). Symmetric: zero points would take 1 to 3 % off the error (measured on
 * uniformly random weights), and cost another input and its bytes. Blocks of 16 would take 4 % off it for
 * twice the scales, blocks of 64 add 3 %.
 */
export const BLOCK_SIZE = 32;

export type QuantizedBits = 4 | 8;

export interface QuantizedBlocks {
  /** Codes; of four bits the lower half comes first. */
  readonly packed: Uint8Array<ArrayBuffer>;
  /** One a block, each a number that float16 holds exactly. */
  readonly scales: Float32Array<ArrayBuffer>;
}

/** Bytes of one block's codes. */
export function blockBytes(bits: QuantizedBits): number {
  return (BLOCK_SIZE * bits) / 8;
}

/**
 * Shares of the full range that a block's scale is tried with at four bits: its ends are rare, and
 * giving some of them up makes all other steps finer. At eight bits the full range is all.
 */
const RANGES = [1, 0.93, 0.86, 0.79] as const;

/** Quantises whole blocks; `weights` holds a multiple of 32 finite values. */
export function quantizeBlocks(weights: Float32Array, bits: QuantizedBits): QuantizedBlocks {
  const blocks = weights.length / BLOCK_SIZE;
  if (!Number.isInteger(blocks)) throw new RangeError(`${weights.length} weights are no blocks`);
  const scales = new Float32Array(blocks);
  const packed = new Uint8Array(blocks * blockBytes(bits));
  const zero = 2 ** (bits - 1);
  const words = new Uint32Array(weights.buffer, weights.byteOffset, weights.length);
  for (let block = 0; block < blocks; block++) {
    const start = block * BLOCK_SIZE;
    const extreme = weights[indexOfExtreme(words, start)] as number;
    const whole = roundToHalf(-extreme / zero);
    const scale = bits === 8 ? whole : bestScale(weights, start, extreme);
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    const at = block * blockBytes(bits);
    if (bits === 8) {
      for (let index = 0; index < BLOCK_SIZE; index++) {
        packed[at + index] = codeOf((weights[start + index] as number) * inverse, 128);
      }
    } else {
      for (let index = 0; index < BLOCK_SIZE; index += 2) {
        const low = codeOf((weights[start + index] as number) * inverse, 8);
        const high = codeOf((weights[start + index + 1] as number) * inverse, 8);
        packed[at + index / 2] = low | (high << 4);
      }
    }
  }
  return { packed, scales };
}

function codeOf(steps: number, zero: number): number {
  // Above zero, so that cutting the fraction off rounds down; what is lower ends at 0 either way.
  const code = (steps + (zero + 0.5)) | 0;
  return code < 0 ? 0 : code > 2 * zero - 1 ? 2 * zero - 1 : code;
}

/**
 * Where a block's value of largest magnitude is. Without their sign, the bits of floats are ordered as the floats are, and
 * comparing them takes half the time.
 */
function indexOfExtreme(words: Uint32Array, start: number): number {
  let largest = 0;
  let at = start;
  for (let index = start; index < start + BLOCK_SIZE; index++) {
    const magnitude = (words[index] as number) & 0x7fffffff;
    if (magnitude > largest) {
      largest = magnitude;
      at = index;
    }
  }
  return at;
}

/**
 * The scale of four bits with the least squared error among those tried. The codes reach one step further down than up, so
 * `extreme`, the value of largest magnitude, whatever its sign, gets the lowest code.
 */
function bestScale(weights: Float32Array, start: number, extreme: number): number {
  const zero = 8;
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const range of RANGES) {
    const scale = roundToHalf((-extreme * range) / zero);
    if (scale === 0) continue;
    const inverse = 1 / scale;
    let error = 0;
    for (let index = start; index < start + BLOCK_SIZE; index++) {
      const value = weights[index] as number;
      const rest = value - (codeOf(value * inverse, zero) - zero) * scale;
      error += rest * rest;
    }
    if (error < least) [best, least] = [scale, error];
  }
  return best;
}

/** What the scale will be wherever it is stored, so that the codes are made for it. */
function roundToHalf(value: number): number {
  // Adding 0 takes the sign off a zero.
  return halfToFloat(floatToHalf(value)) + 0;
}
