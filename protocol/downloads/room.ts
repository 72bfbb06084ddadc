/** Room that stays free beside a new model: a database's own, pictures, and an estimate's error. */
const MARGIN_BYTES = 500e6;

/** Free bytes without which a model of `bytes` is not begun; a small one needs a small margin. */
export function neededRoom(bytes: number): number {
  return 1.05 * bytes + Math.min(MARGIN_BYTES, bytes);
}

/** Bytes as an error names them: `450 MB`, `2.1 GB`. */
export function gigabytes(bytes: number): string {
  return bytes < 1e8 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
