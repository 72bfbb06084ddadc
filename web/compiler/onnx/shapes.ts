/** Number of elements. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The shape of an element-wise result, by ONNX's (numpy's) broadcasting. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [sizeA, sizeB] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (sizeA !== sizeB && sizeA !== 1 && sizeB !== 1) {
      throw new RangeError(`[${a}] and [${b}] do not broadcast`);
    }
    return Math.max(sizeA, sizeB);
  });
}
