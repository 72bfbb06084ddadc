// Runs before everything else of a worker or page: counts what no outside view shows.
const memories = [];
const counts = {
  /** Bytes of the largest ArrayBuffer that JavaScript made, and how many passed 1 GiB. */
  largestBuffer: 0,
  buffersOverGibibyte: 0,
  /** Bytes of the largest value put into IndexedDB, how many passed 64 MiB, and how many there were. */
  largestValue: 0,
  valuesOver64Mebibytes: 0,
  values: 0,
  valueBytes: 0,
  /** Bytes of the largest WebAssembly memory now; one never shrinks. */
  get wasmHeap() {
    return Math.max(0, ...memories.map((memory) => memory.buffer.byteLength));
  },
};
globalThis.memoryCounts = counts;

function countBuffer(buffer) {
  // A wasm memory is one block by its nature; it is no buffer that JavaScript asked for.
  const bytes = buffer?.byteLength ?? 0;
  counts.largestBuffer = Math.max(counts.largestBuffer, bytes);
  if (bytes > 2 ** 30) counts.buffersOverGibibyte += 1;
}

const ARRAYS = [
  'ArrayBuffer',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
];
for (const name of ARRAYS) {
  const Original = globalThis[name];
  globalThis[name] = new Proxy(Original, {
    construct(target, args, newTarget) {
      const made = Reflect.construct(target, args, newTarget);
      // A view of a buffer makes none; only wasm memories are larger than what is looked for.
      if (!(args[0] instanceof Object && 'byteLength' in args[0] && !ArrayBuffer.isView(args[0]))) {
        countBuffer(made);
      }
      return made;
    },
  });
}

const { Memory } = WebAssembly;
WebAssembly.Memory = new Proxy(Memory, {
  construct(target, args, newTarget) {
    const made = Reflect.construct(target, args, newTarget);
    memories.push(made);
    return made;
  },
});

for (const owner of [Blob, Response]) {
  const read = owner.prototype.arrayBuffer;
  owner.prototype.arrayBuffer = async function arrayBuffer() {
    const buffer = await read.call(this);
    countBuffer(buffer);
    return buffer;
  };
}

const sizeOf = (value) =>
  value instanceof Blob ? value.size : ArrayBuffer.isView(value) ? value.byteLength : 0;
const put = IDBObjectStore.prototype.put;
IDBObjectStore.prototype.put = function countedPut(value, key) {
  const bytes = sizeOf(value);
  counts.values += 1;
  counts.valueBytes += bytes;
  counts.largestValue = Math.max(counts.largestValue, bytes);
  if (bytes > 64 * 2 ** 20) counts.valuesOver64Mebibytes += 1;
  return put.call(this, value, key);
};
