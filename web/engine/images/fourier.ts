/** Real and imaginary parts of a plane of numbers, height × width. */
export interface ComplexPlane {
  readonly width: number;
  readonly height: number;
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** The smallest power of two that is not below `size`. */
export function powerOfTwo(size: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, size)));
}

/** The radix-2 transform (Cooley and Tukey, 1965) of one row, in place; `sign` 1 is the inverse without its 1/n. */
function transformRow(re: Float64Array, im: Float64Array, sign: 1 | -1): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j] as number, re[i] as number];
      [im[i], im[j]] = [im[j] as number, im[i] as number];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const angle = (sign * 2 * Math.PI) / size;
    for (let k = 0; k < size / 2; k++) {
      const cos = Math.cos(angle * k);
      const sin = Math.sin(angle * k);
      for (let start = k; start < n; start += size) {
        const other = start + size / 2;
        const oRe = (re[other] as number) * cos - (im[other] as number) * sin;
        const oIm = (re[other] as number) * sin + (im[other] as number) * cos;
        re[other] = (re[start] as number) - oRe;
        im[other] = (im[start] as number) - oIm;
        re[start] = (re[start] as number) + oRe;
        im[start] = (im[start] as number) + oIm;
      }
    }
  }
}

/** The two-dimensional Fourier transform in place, not normalised; both sides must be powers of two. */
export function transformPlane({ width, height, re, im }: ComplexPlane, sign: 1 | -1): void {
  for (let y = 0; y < height; y++) {
    const from = y * width;
    transformRow(re.subarray(from, from + width), im.subarray(from, from + width), sign);
  }
  const columnRe = new Float64Array(height);
  const columnIm = new Float64Array(height);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      columnRe[y] = re[y * width + x] as number;
      columnIm[y] = im[y * width + x] as number;
    }
    transformRow(columnRe, columnIm, sign);
    for (let y = 0; y < height; y++) {
      re[y * width + x] = columnRe[y] as number;
      im[y * width + x] = columnIm[y] as number;
    }
  }
}
