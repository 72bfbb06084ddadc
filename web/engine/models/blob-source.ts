import { GenerationError } from '../../../protocol/errors.ts';
import type { ByteSource } from '../../compiler/model.ts';

/**
 * A file that the user chose, read by ranges; `open` gives its bytes when they are first needed. Reads
 * reject with `invalid-model` past the file's end, and with `not-found` when the file is gone or changed.
 */
export function createBlobSource(
  path: string,
  sizeBytes: number,
  open: () => Promise<Blob>,
): ByteSource {
  let opened: Promise<Blob> | null = null;
  return {
    path,
    sizeBytes,
    async read(offset, length) {
      if (offset < 0 || offset + length > sizeBytes) {
        throw new GenerationError(
          'invalid-model',
          `${path} has ${sizeBytes} bytes, but bytes ${offset} to ${offset + length} are needed: the file is cut short.`,
        );
      }
      opened ??= open();
      try {
        const blob = await opened;
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (error) {
        opened = null;
        if (error instanceof GenerationError) throw error;
        throw new GenerationError(
          'not-found',
          `${path} can no longer be read: it was changed, moved or deleted since it was chosen. Add it again under Models.`,
          { cause: error },
        );
      }
    },
  };
}
