/** The value at `index`; a RangeError where there is none, so that a wrong index never becomes NaN unseen. */
export function at<V>(list: ArrayLike<V>, index: number): V {
  const value = list[index];
  if (value === undefined) throw new RangeError(`no element ${index} of ${list.length}`);
  return value;
}

/** `count` values from `start` to `end`, both included (numpy's and torch's linspace), in doubles. */
export function linspace(start: number, end: number, count: number): number[] {
  if (count === 1) return [start];
  const step = (end - start) / (count - 1);
  // From both ends, as torch does it: the last value is `end` itself.
  return Array.from({ length: count }, (_, i) =>
    i < count / 2 ? start + step * i : end - step * (count - 1 - i),
  );
}

/** torch's linspace: float32 steps, counted from both ends, each value rounded once. */
export function linspaceFloat32(start: number, end: number, count: number): number[] {
  const { fround } = Math;
  if (count === 1) return [fround(start)];
  const [first, last] = [fround(start), fround(end)];
  const step = fround(fround(last - first) / (count - 1));
  const halfway = Math.floor(count / 2);
  return Array.from({ length: count }, (_, i) =>
    fround(i < halfway ? first + step * i : last - step * (count - 1 - i)),
  );
}
