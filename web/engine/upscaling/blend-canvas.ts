import type { Pixels } from '../images/pixels.ts';
import { featherWeights, type TileSpan } from './tiles.ts';

const CHANNELS = 3;

/** A picture that is put together from tiles which overlap. */
export class BlendCanvas {
  readonly width: number;
  readonly height: number;
  readonly #scale: number;
  /** height × width × 3, sums of what each tile says times its weight there. */
  readonly #sums: Float32Array;

  /** `width` and `height` of the picture that goes in; the canvas is `scale` times that. */
  constructor(width: number, height: number, scale: number) {
    this.width = Math.round(width * scale);
    this.height = Math.round(height * scale);
    this.#scale = scale;
    this.#sums = new Float32Array(this.width * this.height * CHANNELS);
  }

  /** Adds a tile, f32 [3, rows, columns] in 0..1, of which what lies beyond the spans is left out. */
  add(tile: Float32Array, rows: number, columns: number, x: TileSpan, y: TileSpan): void {
    const [ofX, ofY] = [featherWeights(x, this.#scale), featherWeights(y, this.#scale)];
    const left = Math.round(x.start * this.#scale);
    const top = Math.round(y.start * this.#scale);
    for (let channel = 0; channel < CHANNELS; channel++) {
      for (let row = 0; row < ofY.length; row++) {
        const from = (channel * rows + row) * columns;
        const to = ((top + row) * this.width + left) * CHANNELS + channel;
        for (let column = 0; column < ofX.length; column++) {
          const weight = (ofX[column] as number) * (ofY[row] as number);
          const at = to + column * CHANNELS;
          this.#sums[at] = (this.#sums[at] as number) + weight * (tile[from + column] as number);
        }
      }
    }
  }

  /** The picture in 8 bits, clamped and rounded. */
  pixels(): Pixels {
    const data = new Uint8Array(this.#sums.length);
    this.#sums.forEach((value, at) => {
      data[at] = Math.round(255 * Math.min(Math.max(value, 0), 1));
    });
    return { width: this.width, height: this.height, data };
  }
}
