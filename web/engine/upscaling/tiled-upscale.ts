import type { Pixels } from '../images/pixels.ts';
import { BlendCanvas } from './blend-canvas.ts';
import { planTiles, type TileSpan } from './tiles.ts';

/** A network that enlarges pictures of any fixed size. */
export interface UpscalerNetwork {
  /** Pixels out per pixel in. */
  readonly scale: number;
  /** Sides must be multiples of this. */
  readonly multiple: number;
  /** f32 [3, height, width] in 0..1 → f32 [3, scale · height, scale · width], about 0..1. */
  run(image: Float32Array, height: number, width: number): Promise<Float32Array>;
}

export interface TiledOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onTile?: ((done: number, count: number) => void) | undefined;
  /** Called before every tile; may throw. */
  readonly check?: (() => void) | undefined;
}

/** A1111's tile, and twice its overlap: seams are softer for a few percent of time. */
const TILE = 192;
const OVERLAP = 16;

/**
 * Enlarges a picture tile by tile, so that any size fits; where tiles overlap, they are blended.
 * All tiles have one size, so that one graph serves them.
 */
export async function upscaleTiled(
  pixels: Pixels,
  network: UpscalerNetwork,
  { signal, onTile, check }: TiledOptions = {},
): Promise<Pixels> {
  const { width, height } = pixels;
  const columns = planTiles(width, TILE, OVERLAP);
  const rows = planTiles(height, TILE, OVERLAP);
  const canvas = new BlendCanvas(width, height, network.scale);
  const roundUp = (size: number) => Math.ceil(size / network.multiple) * network.multiple;
  const [tileWidth, tileHeight] = [roundUp(columns[0]?.size ?? 0), roundUp(rows[0]?.size ?? 0)];
  let done = 0;
  for (const y of rows) {
    for (const x of columns) {
      signal?.throwIfAborted();
      check?.();
      const tile = cutTile(pixels, x, y, tileWidth, tileHeight);
      const larger = await network.run(tile, tileHeight, tileWidth);
      canvas.add(larger, tileHeight * network.scale, tileWidth * network.scale, x, y);
      done += 1;
      onTile?.(done, rows.length * columns.length);
    }
  }
  return canvas.pixels();
}

/** A tile as the network takes it; beyond the picture its last row and column go on. */
function cutTile(
  { width, height, data }: Pixels,
  x: TileSpan,
  y: TileSpan,
  tileWidth: number,
  tileHeight: number,
): Float32Array {
  const plane = tileWidth * tileHeight;
  const tile = new Float32Array(plane * 3);
  for (let row = 0; row < tileHeight; row++) {
    const fromRow = Math.min(y.start + row, height - 1);
    for (let column = 0; column < tileWidth; column++) {
      const from = (fromRow * width + Math.min(x.start + column, width - 1)) * 3;
      const to = row * tileWidth + column;
      for (let channel = 0; channel < 3; channel++) {
        tile[channel * plane + to] = (data[from + channel] as number) / 255;
      }
    }
  }
  return tile;
}
