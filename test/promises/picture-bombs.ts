import { deflateSync } from 'node:zlib';
import { makePng, pngChunk } from '../bridge/a1111/fake-services.ts';

/** A small file that says or holds something large. */
export interface PictureBomb {
  readonly name: string;
  readonly bytes: Buffer;
  /** Whether it is in what png-info alone reads; else every route that takes a picture refuses it. */
  readonly isInTexts: boolean;
}

const MIB = 2 ** 20;
/** More parts than any real file has. */
const PARTS = 5_000;

function compressedText(type: 'zTXt' | 'iTXt', sizeBytes: number): Buffer {
  const head = type === 'zTXt' ? 'parameters\0\0' : 'parameters\0\x01\0\0\0';
  return pngChunk(type, Buffer.concat([Buffer.from(head), deflateSync(Buffer.alloc(sizeBytes))]));
}

/** A grey PNG with all of its pixels, which are black. */
function wholePng(side: number): Buffer {
  const png = makePng(side, side);
  const pixels = pngChunk('IDAT', deflateSync(Buffer.alloc((side + 1) * side)));
  return Buffer.concat([png.subarray(0, 33), pixels, png.subarray(-12)]);
}

function animatedPng(frames: number): Buffer {
  const control = Buffer.alloc(8);
  control.writeUInt32BE(frames);
  return makePng(64, 64, [pngChunk('acTL', control)]);
}

/** A JPEG up to its pixels, with these bytes between its frame and them. */
function jpeg(width: number, height: number, behindFrame = Buffer.alloc(0)): Buffer {
  const frame = Buffer.from('ffc0000b080000000001011100', 'hex');
  frame.writeUInt16BE(height, 5);
  frame.writeUInt16BE(width, 7);
  const start = Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex');
  const scan = Buffer.from('ffda0008010100003f00ffd9', 'hex');
  return Buffer.concat([start, frame, behindFrame, scan]);
}

/** An extended WebP, with these bytes behind its head. */
function webp(width: number, height: number, behindHead = Buffer.alloc(0)): Buffer {
  const head = Buffer.from('524946460000000057454250565038580a000000', 'hex');
  const size = Buffer.alloc(10);
  size.writeUIntLE(width - 1, 4, 3);
  size.writeUIntLE(height - 1, 7, 3);
  const file = Buffer.concat([head, size, behindHead]);
  file.writeUInt32LE(file.length - 8, 4);
  return file;
}

/** At least one of every kind; none is larger than 260 KiB. */
export function pictureBombs(): readonly PictureBomb[] {
  const everywhere = (name: string, bytes: Buffer) => ({ name, bytes, isInTexts: false });
  const inTexts = (name: string, bytes: Buffer) => ({ name, bytes, isInTexts: true });
  const times = (count: number, part: Buffer) => Array.from({ length: count }, () => part);
  const emptyChunk = pngChunk('teSt', Buffer.alloc(0));
  return [
    everywhere('a PNG of 16384 × 16384, 256 MiB of pixels', wholePng(16_384)),
    everywhere('a PNG that says it is of 2 000 000 000 pixels a side', makePng(2e9, 2e9)),
    everywhere('a PNG of ten thousand frames', animatedPng(10_000)),
    everywhere('a PNG of very many chunks', makePng(64, 64, times(PARTS, emptyChunk))),
    everywhere('a JPEG of 65500 × 65500', jpeg(65_500, 65_500)),
    everywhere('a WebP of 16384 × 16384', webp(16_384, 16_384)),
    everywhere('a GIF', Buffer.from('474946383961ffffffff80000000000000ffffff3b', 'hex')),
    inTexts('a zTXt of 256 MiB', makePng(64, 64, [compressedText('zTXt', 256 * MIB)])),
    inTexts('an iTXt of 64 MiB', makePng(64, 64, [compressedText('iTXt', 64 * MIB)])),
    inTexts('twelve zTXt of 1 MiB', makePng(64, 64, times(12, compressedText('zTXt', MIB)))),
    inTexts(
      'a JPEG of very many segments',
      jpeg(64, 64, Buffer.concat(times(PARTS, Buffer.from('fffe0002', 'hex')))),
    ),
    inTexts(
      'a WebP of very many chunks',
      webp(64, 64, Buffer.concat(times(PARTS, Buffer.from('5465537400000000', 'hex')))),
    ),
  ];
}
