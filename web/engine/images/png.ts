import { concatBytes } from '../../../protocol/bytes.ts';
import { makePngChunk, PNG_SIGNATURE } from '../../../protocol/png-chunks.ts';
import type { Pixels } from './pixels.ts';
import type { RgbaPixels } from './rgba.ts';

/** PNG (ISO/IEC 15948), 8 bits a channel, not interlaced: the same pixels give the same bytes. */

/** Colour types of RGB and RGBA. */
const COLOR_TYPES = { 3: 2, 4: 6 } as const;

/** 4 for pixels with transparency, else 3. */
export function channelsOf({ width, height, data }: Pixels | RgbaPixels): 3 | 4 {
  return data.length === width * height * 4 ? 4 : 3;
}

/** Encodes pixels without any text; texts are added to the finished file. */
export async function encodePng(pixels: Pixels | RgbaPixels): Promise<Uint8Array<ArrayBuffer>> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, pixels.width);
  view.setUint32(4, pixels.height);
  header[8] = 8;
  header[9] = COLOR_TYPES[channelsOf(pixels)];
  return concatBytes([
    PNG_SIGNATURE,
    makePngChunk('IHDR', header),
    makePngChunk('IDAT', await deflate(filterRows(pixels))),
    makePngChunk('IEND', new Uint8Array(0)),
  ]);
}

/** The zlib stream that PNG wants, made by the browser; deterministic for one browser version. */
async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Each row after its filter type; of the five filters the one with the smallest sum of absolute values. */
function filterRows(pixels: Pixels | RgbaPixels): Uint8Array<ArrayBuffer> {
  const { width, height, data } = pixels;
  const channels = channelsOf(pixels);
  const stride = width * channels;
  const out = new Uint8Array(height * (stride + 1));
  const candidate = new Uint8Array(stride);
  const empty = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * stride, (y + 1) * stride);
    const above = y === 0 ? empty : data.subarray((y - 1) * stride, y * stride);
    const start = y * (stride + 1);
    let smallest = Number.POSITIVE_INFINITY;
    for (let filter = 0; filter <= 4; filter++) {
      const sum = applyFilter(filter, { row, above, channels }, candidate);
      if (sum >= smallest) continue;
      smallest = sum;
      out[start] = filter;
      out.set(candidate, start + 1);
    }
  }
  return out;
}

interface Row {
  readonly row: Uint8Array;
  readonly above: Uint8Array;
  readonly channels: number;
}

/** Filters one row into `out`; returns the sum of the results' absolute values as signed bytes. */
function applyFilter(filter: number, { row, above, channels }: Row, out: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < row.length; i++) {
    const left = i < channels ? 0 : (row[i - channels] as number);
    const up = above[i] as number;
    const upLeft = i < channels ? 0 : (above[i - channels] as number);
    const value = ((row[i] as number) - predict(filter, left, up, upLeft)) & 0xff;
    out[i] = value;
    sum += value < 128 ? value : 256 - value;
  }
  return sum;
}

/** The filters None, Sub, Up, Average and Paeth (§9). Called once a byte and filter: it allocates nothing. */
function predict(filter: number, left: number, up: number, upLeft: number): number {
  if (filter === 0) return 0;
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  const toLeft = Math.abs(up - upLeft);
  const toUp = Math.abs(left - upLeft);
  const toUpLeft = Math.abs(left + up - 2 * upLeft);
  if (toLeft <= toUp && toLeft <= toUpLeft) return left;
  return toUp <= toUpLeft ? up : upLeft;
}
