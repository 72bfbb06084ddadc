/** A stretch of one axis, in pixels of the picture that goes in. */
export interface TileSpan {
  readonly start: number;
  readonly size: number;
  /** Pixels shared with the tile before and the one after; 0 at the picture's edge. */
  readonly before: number;
  readonly after: number;
}

/**
 * Covers `size` pixels with tiles of `tile` pixels, each sharing at least `overlap` with the next; they
 * are spread evenly. One tile where the picture is no larger.
 */
export function planTiles(size: number, tile: number, overlap: number): TileSpan[] {
  if (size <= tile) return [{ start: 0, size, before: 0, after: 0 }];
  const count = Math.ceil((size - overlap) / (tile - overlap));
  const starts = Array.from({ length: count }, (_, index) =>
    Math.round((index * (size - tile)) / (count - 1)),
  );
  return starts.map((start, index) => {
    const [previous, next] = [starts[index - 1], starts[index + 1]];
    return {
      start,
      size: tile,
      before: previous === undefined ? 0 : previous + tile - start,
      after: next === undefined ? 0 : start + tile - next,
    };
  });
}

/**
 * How much a tile counts at each pixel of an axis: 1 in its middle, falling to its ends over what it
 * shares, so that the weights of two tiles add up to 1.
 */
export function featherWeights({ size, before, after }: TileSpan, scale: number): Float32Array {
  const length = Math.round(size * scale);
  const [rise, fall] = [before * scale, after * scale];
  return Float32Array.from({ length }, (_, at) => {
    const up = rise > 0 ? (at + 0.5) / rise : 1;
    const down = fall > 0 ? (length - at - 0.5) / fall : 1;
    return Math.min(1, up) * Math.min(1, down);
  });
}
