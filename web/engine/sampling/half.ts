const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The nearest half-precision number, ties to even (Math.f16round, which is not everywhere yet). */
export function roundToHalf(value: number): number {
  scratch[0] = value;
  const exponent = (((scratchBits[0] as number) >>> 23) & 0xff) - 127;
  // Ten bits behind the leading one; below 2^-14 the spacing stays 2^-24.
  const spacing = 2 ** (Math.max(exponent, -14) - 10);
  const steps = value / spacing;
  const floor = Math.floor(steps);
  const rest = steps - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
  const result = rounded * spacing;
  return Math.abs(result) > 65504 ? Math.sign(value) * Number.POSITIVE_INFINITY : result;
}
