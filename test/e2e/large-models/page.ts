import { COMPILER_VERSION } from '../../../web/compiler/compile.ts';
import type { CompiledModel } from '../../../web/compiler/model.ts';
import { compiledKey } from '../../../web/engine/models/cache-key.ts';
import { openKeyValueStore } from '../../../web/engine/models/key-value-store.ts';
import { createLocalSources } from '../../../web/engine/models/local-sources.ts';
import type { ModelOrigin } from '../../../web/engine/models/manifest.ts';
import { writeArchive } from '../../../web/engine/models/model-archive.ts';
import { importArchive } from '../../../web/engine/models/model-import.ts';
import { createModelStore } from '../../../web/engine/models/model-store.ts';
import { NO_SOURCES } from '../../fakes/no-sources.ts';

const MIB = 2 ** 20;
const PIECE_BYTES = 8 * MIB;
/** What the compiler makes at most of one shard. */
const SHARD_BYTES = 1024 * MIB;
const RUNTIME_VERSION = 'none';

/** Seconds that each part of the way took, and the largest value that lay in the store. */
export interface LargeModelRun {
  readonly writeSeconds: number;
  readonly verifySeconds: number;
  readonly readSeconds: number;
  readonly importSeconds: number;
  readonly largestChunkBytes: number;
  readonly chunks: number;
  readonly exportedBytes: number;
}

declare global {
  /** Stores a model of so many MiB of noise, reads it, exports it and takes it in again elsewhere. */
  function runLargeModel(mebibytes: number): Promise<LargeModelRun>;
}

/** Bytes that no store compresses; the browser gives 64 KiB of them at a time. */
function fillWithNoise(piece: Uint8Array<ArrayBuffer>): void {
  for (let at = 0; at < piece.length; at += 65_536) {
    crypto.getRandomValues(piece.subarray(at, at + 65_536));
  }
}

function modelOf(shardSizes: readonly number[]): CompiledModel {
  const textEncoder = {
    component: 'text_encoder' as const,
    ...{ layers: 1, hiddenSize: 8, contextLength: 77, vocabSize: 2 },
    ...{ bosId: 0, eosId: 1, padId: 1, projectionSize: null, tokenizer: null },
    states: { clipSkip: 1, finalNorm: true, followsClipSkip: true },
  };
  return {
    description: {
      ...{ family: 'sd1' as const, predictionType: 'epsilon' as const },
      ...{ isPredictionAssumed: false, trainSteps: 1000, betaStart: 0.00085, betaEnd: 0.012 },
      betaSchedule: 'scaled_linear',
      ...{ zeroTerminalSnr: false, latentChannels: 4, vaeFactor: 8, scalingFactor: 0.18215 },
      ...{ shiftFactor: 0, unetInChannels: 4, nativeResolution: 512, notes: [] },
      unetInputs: { textEmbeds: null, timeIds: null, timestepCond: null },
      textEncoders: [textEncoder],
    },
    components: [{ name: 'unet', config: {}, precision: 'fp16', shardSizes, weights: {} }],
  };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return Math.round((performance.now() - start) / 100) / 10;
}

/** Reads a Blob to its end, holding a piece of it at a time. */
async function readThrough(file: Blob): Promise<void> {
  for (let at = 0; at < file.size; at += PIECE_BYTES) {
    await file.slice(at, at + PIECE_BYTES).arrayBuffer();
  }
}

globalThis.runLargeModel = async (mebibytes) => {
  const totalBytes = mebibytes * MIB;
  const shardSizes = Array.from({ length: Math.ceil(totalBytes / SHARD_BYTES) }, (_, place) =>
    Math.min(SHARD_BYTES, totalBytes - place * SHARD_BYTES),
  );
  const entries = await openKeyValueStore('easel-models');
  const store = createModelStore(entries);
  const origin: ModelOrigin = {
    ...{ kind: 'checkpoint' as const, precision: 'fp16' as const, features: [] },
    files: [{ path: 'large.safetensors', sha256: 'a'.repeat(64), sizeBytes: totalBytes }],
    weights: { linear: totalBytes, plain: 0, full: 0 },
    ...{ compilerVersion: COMPILER_VERSION, runtimeVersion: RUNTIME_VERSION },
  };
  const key = await compiledKey(origin);
  await store.makeRoom('large', totalBytes);
  const writeSeconds = await seconds(async () => {
    const writer = store.write(key);
    const piece = new Uint8Array(PIECE_BYTES);
    for (const [shard, shardBytes] of shardSizes.entries()) {
      await writer.sink.beginShard('unet', shard);
      for (let left = shardBytes; left > 0; left -= PIECE_BYTES) {
        fillWithNoise(piece);
        await writer.sink.write(left < PIECE_BYTES ? piece.subarray(0, left) : piece);
      }
    }
    await writer.finish(modelOf(shardSizes), { name: 'large', sha256: 'a'.repeat(64), origin });
  });
  // A store that was opened anew has verified nothing yet, as after a restart.
  const later = createModelStore(entries);
  const stored = await later.read(key);
  if (!stored) throw new Error('the model is not there');
  const verifySeconds = await seconds(async () => {
    if (!(await later.verify(stored))) throw new Error('the model is damaged');
  });
  const chunks = await later.chunks(stored);
  const { file } = await writeArchive(later, key);
  const readSeconds = await seconds(() => readThrough(file));

  const [otherEntries, files] = await Promise.all([
    openKeyValueStore('easel-models-elsewhere'),
    openKeyValueStore('easel-files-elsewhere'),
  ]);
  const elsewhere = createModelStore(otherEntries);
  const importSeconds = await seconds(() =>
    importArchive(file, {
      ...{ store: elsewhere, sources: createLocalSources(NO_SOURCES, async () => files) },
      ...{ runtimeVersion: RUNTIME_VERSION, objection: () => null, onActivity: () => {} },
    }),
  );
  if (!(await elsewhere.read(key))) throw new Error('the imported model is not there');
  return {
    ...{ writeSeconds, verifySeconds, readSeconds, importSeconds, chunks: chunks.length },
    largestChunkBytes: Math.max(...chunks.map(({ size }) => size)),
    exportedBytes: file.size,
  };
};
