/** How one side of a picture is cut into tiles of one size that overlap. */
export interface TiledSide {
  /** Where each tile begins; the first at 0, the last one ends at the side's end. */
  readonly starts: readonly number[];
  readonly tile: number;
}

/** Cuts `length` into tiles of at most `tile` that share at least `overlap`; all in the same unit. */
export function tileSide(length: number, tile: number, overlap: number): TiledSide {
  if (length <= tile) return { starts: [0], tile: length };
  const count = Math.ceil((length - overlap) / (tile - overlap));
  const starts = Array.from({ length: count }, (_, i) =>
    Math.round((i * (length - tile)) / (count - 1)),
  );
  return { starts, tile };
}

/**
 * What each tile contributes at each of its places, at `scale` places a unit: rising and falling in a
 * straight line where tiles overlap, and 1 in sum everywhere.
 */
export function featherWeights({ starts, tile }: TiledSide, scale: number): Float32Array[] {
  const size = tile * scale;
  const shared = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? 0 : (a + tile - b) * scale;
  const raw = starts.map((start, i) => {
    const [before, after] = [shared(starts[i - 1], start), shared(start, starts[i + 1])];
    return Float32Array.from({ length: size }, (_, at) => {
      const rise = before > 0 ? Math.min(1, (at + 0.5) / before) : 1;
      const fall = after > 0 ? Math.min(1, (size - at - 0.5) / after) : 1;
      return Math.min(rise, fall);
    });
  });
  const sums = new Float32Array(((starts.at(-1) ?? 0) + tile) * scale);
  for (const [i, weights] of raw.entries()) {
    const start = (starts[i] ?? 0) * scale;
    for (const [at, weight] of weights.entries())
      sums[start + at] = (sums[start + at] ?? 0) + weight;
  }
  return raw.map((weights, i) => {
    const start = (starts[i] ?? 0) * scale;
    return weights.map((weight, at) => weight / (sums[start + at] ?? 1));
  });
}

/** Planes of one size, f32 [channels, height, width]. */
export interface Planes {
  readonly values: Float32Array;
  readonly height: number;
  readonly width: number;
}

/** The part of every plane that begins at (`top`, `left`). */
export function cropPlanes(
  { values, height, width }: Planes,
  part: { top: number; left: number; height: number; width: number },
): Float32Array {
  const channels = values.length / (height * width);
  const out = new Float32Array(channels * part.height * part.width);
  for (let row = 0; row < channels * part.height; row++) {
    const channel = Math.floor(row / part.height);
    const y = part.top + (row % part.height);
    const from = (channel * height + y) * width + part.left;
    out.set(values.subarray(from, from + part.width), row * part.width);
  }
  return out;
}

/** Adds a tile to `target` at (`top`, `left`), each place by its row's and its column's weight. */
export function addWeighted(
  target: Planes,
  tile: Planes & { readonly top: number; readonly left: number },
  rowWeights: Float32Array,
  columnWeights: Float32Array,
): void {
  const channels = target.values.length / (target.height * target.width);
  const { values } = target;
  for (let row = 0; row < channels * tile.height; row++) {
    const channel = Math.floor(row / tile.height);
    const y = row % tile.height;
    const to = (channel * target.height + tile.top + y) * target.width + tile.left;
    const rowWeight = rowWeights[y] ?? 0;
    for (let x = 0; x < tile.width; x++) {
      const value = tile.values[row * tile.width + x] ?? 0;
      values[to + x] = (values[to + x] ?? 0) + value * rowWeight * (columnWeights[x] ?? 0);
    }
  }
}
