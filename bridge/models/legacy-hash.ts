import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

/** Which bytes count. */
const START = 0x10_0000;
const LENGTH = 0x1_0000;
const DIGITS = 8;

/**
 * The short hash that A1111 once had for checkpoints and sd-webui-controlnet still shows behind a ControlNet's name:
 * eight digits over 64 KiB behind the first MiB. Null where the file cannot be read.
 */
export async function legacyHash(path: string): Promise<string | null> {
  try {
    const file = await open(path);
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(LENGTH), 0, LENGTH, START);
      const hash = createHash('sha256').update(buffer.subarray(0, bytesRead));
      return hash.digest('hex').slice(0, DIGITS);
    } finally {
      await file.close();
    }
  } catch {
    return null;
  }
}
