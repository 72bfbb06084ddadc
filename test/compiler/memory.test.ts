import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { ComponentName, ModelFiles } from '../../web/compiler/model.ts';
import { ChunkedSink } from '../../web/engine/models/chunked-sink.ts';

/** Bytes alive in JavaScript while components in true size are compiled, counted at every read and write. */

const MEBIBYTE = 2 ** 20;
const CHUNK_BYTES = 8 * MEBIBYTE;

// Array buffers are given back while the collector runs, not some time later.
setFlagsFromString('--expose-gc');
setFlagsFromString('--no-concurrent-array-buffer-sweeping');
const collect = runInNewContext('gc') as () => void;

function bytesAlive(): number {
  collect();
  return process.memoryUsage().arrayBuffers;
}

/** SD 1.5 in true size as one file, whose weights are zeros made when they are read. */
function trueSizeFile(onRead: () => void): ModelFiles {
  const manifest = new URL('../fixtures/models/full-keys/sd15.ldm.json.gz', import.meta.url);
  const { tensors } = JSON.parse(gunzipSync(readFileSync(manifest)).toString()) as {
    tensors: Record<string, [dtype: string, shape: number[]]>;
  };
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, [dtype, shape]] of Object.entries(tensors)) {
    const isInteger = dtype.startsWith('I');
    const sizeBytes = shape.reduce((product, side) => product * side, 1) * (isInteger ? 8 : 2);
    header[name] = {
      dtype: isInteger ? dtype : 'F16',
      shape,
      data_offsets: [end, end + sizeBytes],
    };
    end += sizeBytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + json.length);
  new DataView(start.buffer).setBigUint64(0, BigInt(json.length), true);
  start.set(json, 8);
  const read = async (offset: number, length: number) => {
    onRead();
    const bytes = new Uint8Array(length);
    if (offset < start.length) bytes.set(start.subarray(offset, offset + length));
    return bytes;
  };
  const file = { path: 'sd15.safetensors', sizeBytes: start.length + end, read };
  return { name: 'sd15', files: [file] };
}

async function peakOf(components: readonly ComponentName[], precision: 'fp32' | 'fp16' | 'q8') {
  let [base, peak] = [Number.POSITIVE_INFINITY, 0];
  const count = () => {
    peak = Math.max(peak, bytesAlive() - base);
  };
  const checkpoint = await openCheckpoint(trueSizeFile(count));
  [base, peak] = [bytesAlive(), 0];
  const sink = new ChunkedSink({
    chunkBytes: CHUNK_BYTES,
    async store() {
      count();
      // As slow as a disk: what is made meanwhile is made while the chunk is on its way.
      await new Promise((resolve) => setTimeout(resolve, 5));
      count();
    },
  });
  await compileCheckpoint(checkpoint, { precision, components, sink });
  await sink.flush();
  return { peak: peak / MEBIBYTE, written: sink.sizeBytes / MEBIBYTE };
}

describe('while a component in true size is compiled', () => {
  it.each([
    ['text_encoder', 'fp32', 460],
    ['text_encoder', 'q8', 230],
  ] as const)(
    '%s to %s, few pieces of it are in memory',
    async (name, precision, least) => {
      const { peak, written } = await peakOf([name], precision);
      expect(written).toBeGreaterThan(least);
      // Pieces of 8 MiB: read, widened to twice that, one more ahead, gathered, the chunk and its copies.
      expect(peak).toBeLessThan(8 * 8);
      expect(peak).toBeGreaterThan(8);
    },
    60_000,
  );
});
