import { latin1Text } from '../../protocol/bytes.ts';

/** A picture that img2img begins with. */
export interface InitPicture {
  readonly file: Blob;
  /** The file as a job carries it. */
  readonly base64: string;
  readonly width: number;
  readonly height: number;
}

/** Why a dropped or pasted file cannot be used. */
export type FileProblem = 'not-a-picture' | 'too-large';

/** Beyond this a file is refused before it is decoded. */
export const MAX_PICTURE_BYTES = 64 * 1024 * 1024;

/** Reads the size of a picture; rejects where it is none. The browser's decoder, or a test's. */
export type MeasurePicture = (file: Blob) => Promise<{ width: number; height: number }>;

const measurePicture: MeasurePicture = async (file) => {
  const bitmap = await createImageBitmap(file);
  const { width, height } = bitmap;
  bitmap.close();
  return { width, height };
};

export async function openPicture(
  file: Blob,
  measure: MeasurePicture = measurePicture,
): Promise<InitPicture | FileProblem> {
  if (file.size > MAX_PICTURE_BYTES) return 'too-large';
  try {
    return { file, ...(await measure(file)), base64: await toBase64(file) };
  } catch {
    return 'not-a-picture';
  }
}

/** The file as base64 without a prefix, as jobs carry pictures. */
export async function toBase64(file: Blob): Promise<string> {
  return btoa(latin1Text(new Uint8Array(await file.arrayBuffer())));
}

/** The first file of a drop or a paste. */
export function firstFile(data: DataTransfer | null): File | null {
  return data?.files[0] ?? null;
}

/** A size near the picture's own that a job may have: multiples of 8 within the limits. */
export function jobSizeOf({ width, height }: { width: number; height: number }, maxSide: number) {
  const scale = Math.min(1, maxSide / Math.max(width, height));
  const fitSide = (side: number) => Math.max(64, Math.floor((side * scale) / 8) * 8);
  return { width: fitSide(width), height: fitSide(height) };
}
