/** What is read at a time: more gains nothing, and a read that failed is small enough to be made again. */
const PIECE_BYTES = 8 * 2 ** 20;
/** Waits before a failed read is made again. */
const RETRY_DELAYS_MS = [50, 500];

export interface ShardBlobOptions {
  /** Smaller in tests alone. */
  readonly pieceBytes?: number;
  readonly retryDelaysMs?: readonly number[];
}

/** One stretch of one chunk. */
interface Piece {
  readonly chunk: Blob;
  readonly from: number;
  readonly to: number;
}

/**
 * Stored chunks as one Blob, as the runtime takes a shard: it asks for `size`, for `arrayBuffer()`, and where
 * it reads lazily for `slice(from, to).stream()`. Browsers can join Blobs themselves, but a stream over
 * such a Blob of gigabytes fails or stops for good where memory is short; and with Blobs of a few megabytes
 * Chromium was seen to stand still for good while a session opened, with nothing at work but such a stream.
 * This one reads each stored chunk on its own, in pieces and without a stream of the browser's, and makes a
 * read that failed again.
 */
export class ShardBlob extends Blob {
  readonly #chunks: readonly Blob[];
  readonly #begin: number;
  readonly #end: number;
  readonly #options: ShardBlobOptions;

  constructor(
    chunks: readonly Blob[],
    options: ShardBlobOptions = {},
    begin = 0,
    end = chunks.reduce((sum, { size }) => sum + size, 0),
  ) {
    super([]);
    this.#chunks = chunks;
    this.#options = options;
    this.#begin = begin;
    this.#end = end;
  }

  override get size(): number {
    return this.#end - this.#begin;
  }

  /** As Blob's own, for offsets from the beginning. */
  override slice(begin = 0, end = this.size): ShardBlob {
    const clamp = (offset: number) => Math.min(this.#end, this.#begin + Math.max(0, offset));
    const from = clamp(begin);
    return new ShardBlob(this.#chunks, this.#options, from, Math.max(from, clamp(end)));
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    const whole = new Uint8Array(this.size);
    let filled = 0;
    for (const piece of this.#pieces()) {
      const bytes = await this.#read(piece);
      whole.set(bytes, filled);
      filled += bytes.length;
    }
    return whole.buffer;
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const pieces = this.#pieces();
    const read = (piece: Piece) => this.#read(piece);
    return new ReadableStream({
      async pull(controller) {
        const { done, value } = pieces.next();
        if (done) controller.close();
        else controller.enqueue(await read(value));
      },
    });
  }

  *#pieces(): Generator<Piece, undefined> {
    const { pieceBytes = PIECE_BYTES } = this.#options;
    let start = 0;
    for (const chunk of this.#chunks) {
      const [first, last] = [
        Math.max(0, this.#begin - start),
        Math.min(chunk.size, this.#end - start),
      ];
      for (let from = first; from < last; from += pieceBytes) {
        yield { chunk, from, to: Math.min(from + pieceBytes, last) };
      }
      start += chunk.size;
    }
    return undefined;
  }

  async #read({ chunk, from, to }: Piece): Promise<Uint8Array<ArrayBuffer>> {
    const { retryDelaysMs = RETRY_DELAYS_MS } = this.#options;
    for (let failures = 0; ; failures++) {
      try {
        return new Uint8Array(await chunk.slice(from, to).arrayBuffer());
      } catch (error) {
        const delayMs = retryDelaysMs[failures];
        if (delayMs === undefined) throw error;
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  }
}
