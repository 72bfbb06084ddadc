import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { readExifText } from '../../protocol/exif-text.ts';
import { makePngChunk, PNG_SIGNATURE, readPngChunks } from '../../protocol/png-chunks.ts';
import { readPngTexts } from '../picture-text.ts';

/** What a picture's file tells without its pixels. */
export interface PictureHead {
  readonly width: number | null;
  readonly height: number | null;
  readonly infotext: string;
  readonly isDamaged: boolean;
}

const DAMAGED: PictureHead = { width: null, height: null, infotext: '', isDamaged: true };
/** Texts lie in front of the pixels; a ComfyUI workflow takes some tens of kilobytes. */
const PNG_HEAD_BYTES = 256 * 1024;
/** WebP keeps its texts at the end. */
const MAX_WHOLE_BYTES = 64 * 2 ** 20;
const MAX_INFOTEXT = 20_000;

async function readStart(path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, maxBytes));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The chunks of a PNG in front of its pixels, closed so that they are a file of their own. */
function withoutPixels(bytes: Buffer): Uint8Array {
  let start = PNG_SIGNATURE.length;
  while (start + 12 <= bytes.length) {
    const end = start + 12 + bytes.readUInt32BE(start);
    if (bytes.toString('latin1', start + 4, start + 8) === 'IDAT' || end > bytes.length) break;
    start = end;
  }
  return Buffer.concat([bytes.subarray(0, start), makePngChunk('IEND', new Uint8Array())]);
}

async function pngHead(path: string): Promise<PictureHead> {
  const head = withoutPixels(await readStart(path, PNG_HEAD_BYTES));
  const header = Buffer.from(readPngChunks(head)[0]?.data ?? []);
  const { parameters = '' } = await readPngTexts(head);
  return {
    width: header.readUInt32BE(0),
    height: header.readUInt32BE(4),
    infotext: parameters.slice(0, MAX_INFOTEXT),
    isDamaged: false,
  };
}

/** Reads size and infotext of a PNG, JPEG or WebP file; never throws: a damaged file is said to be one. */
export async function readPictureHead(path: string): Promise<PictureHead> {
  try {
    if (extname(path).toLowerCase() === '.png') return await pngHead(path);
    const infotext = readExifText(await readStart(path, MAX_WHOLE_BYTES)) ?? '';
    return {
      width: null,
      height: null,
      infotext: infotext.slice(0, MAX_INFOTEXT),
      isDamaged: false,
    };
  } catch {
    return DAMAGED;
  }
}
