import { invalidModel } from '../errors.ts';
import type { ByteSource } from '../model.ts';

/** Read at a time: a graph without its weights is a few of these. */
const WINDOW_BYTES = 1024 * 1024;

/** Reads protobuf from a file that may be larger than memory: forward, a window at a time. */
export class ByteCursor {
  position = 0;
  readonly #file: ByteSource;
  readonly #signal: AbortSignal | undefined;
  #window: Uint8Array = new Uint8Array();
  #windowStart = 0;

  constructor(file: ByteSource, signal: AbortSignal | undefined) {
    this.#file = file;
    this.#signal = signal;
  }

  /** A field's number and wire type. */
  async key(end: number): Promise<{ number: number; wireType: number }> {
    const key = await this.varint(end);
    return { number: Math.floor(key / 8), wireType: key % 8 };
  }

  async varint(end: number): Promise<number> {
    await this.#need(Math.min(10, end - this.position));
    let value = 0;
    for (let index = 0; index < 10; index++) {
      if (this.position >= end) throw this.cutOff();
      const byte = this.#window[this.position - this.#windowStart] ?? 0;
      this.position += 1;
      // Lengths and small numbers alone are read here; beyond 2^53 they are no such thing.
      value += (byte & 127) * 2 ** (7 * index);
      if (byte < 128) return value;
    }
    throw invalidModel(this.#file.path, 'is no ONNX file: a number is longer than ten bytes.');
  }

  /** The length of the field at hand, which ends before `end`. */
  async length(end: number): Promise<number> {
    const length = await this.varint(end);
    if (this.position + length > end) throw this.cutOff();
    return length;
  }

  /** The next bytes, which belong to the caller. */
  async bytes(length: number): Promise<Uint8Array> {
    await this.#need(length);
    const start = this.position - this.#windowStart;
    this.position += length;
    return this.#window.slice(start, start + length);
  }

  cutOff(): Error {
    return invalidModel(
      this.#file.path,
      `is cut off or no ONNX file: something reaches beyond its end at ${this.position} of ${this.#file.sizeBytes} bytes. Download it again.`,
    );
  }

  async #need(count: number): Promise<void> {
    const { sizeBytes } = this.#file;
    const end = this.position + count;
    if (end > sizeBytes) throw this.cutOff();
    const windowEnd = this.#windowStart + this.#window.byteLength;
    if (this.position >= this.#windowStart && end <= windowEnd) return;
    this.#signal?.throwIfAborted();
    const length = Math.min(Math.max(count, WINDOW_BYTES), sizeBytes - this.position);
    const signal = this.#signal;
    this.#window = await this.#file.read(this.position, length, signal ? { signal } : {});
    this.#windowStart = this.position;
    if (this.#window.byteLength < count) throw this.cutOff();
  }
}
