import type { Checkpoint, CheckpointComponent } from './checkpoint.ts';
import { componentPrecision, planWeights } from './component.ts';
import {
  convertElements,
  type FloatSourceDtype,
  isFloatSource,
  sourceBytes,
  type TargetDtype,
  transposedStrip,
} from './convert.ts';
import { invalidModel, unsupportedModel } from './errors.ts';
import type {
  CompiledComponent,
  CompiledModel,
  CompileProgress,
  ComponentName,
  Precision,
  WeightDtype,
  WeightSink,
} from './model.ts';
import { sizeOf } from './onnx/shapes.ts';
import { storeGraph } from './onnx-folder/store.ts';
import { BLOCK_SIZE, type QuantizedBits, quantizeBlocks } from './quantize.ts';
import type { SourceTensor } from './safetensors.ts';
import { ShardWriter } from './shard-writer.ts';
import { codesShape, hasCodes, scalesName, type WeightSpec } from './weights.ts';

/** Part of every cache key: raised whenever the same input would give other bytes. */
export const COMPILER_VERSION = 3;

const MEBIBYTE = 1024 * 1024;
/** What is read and converted at a time. */
const PIECE_BYTES = 8 * MEBIBYTE;
/** What of a matrix is in memory at a time while it is transposed; a larger one is read several times. */
const STRIP_BYTES = 256 * MEBIBYTE;

export interface CompileOptions {
  readonly precision: Precision;
  /**
   * What the weight-only precisions q8 and q4 compute with, and store everything in that is not the matrix
   * of a linear layer; float32, the default, runs on every device. fp16 and fp32 say it themselves.
   */
  readonly activations?: TargetDtype;
  readonly sink: WeightSink;
  readonly onProgress?: (progress: CompileProgress) => void;
  readonly signal?: AbortSignal;
  /** Only these; all of the checkpoint's without it. */
  readonly components?: readonly ComponentName[];
  /** Only the weights for which it is true; all without it. */
  readonly wants?: (component: ComponentName, weight: string) => boolean;
  /** Shards of several weights end here, at 512 MiB; a larger weight has one of its own. */
  readonly maxShardBytes?: number;
  /** Bytes of a matrix that are in memory while it is transposed, 256 MiB. */
  readonly stripBytes?: number;
}

/**
 * Streams a checkpoint's weights through conversion into `sink` and says where each one went.
 * At most `stripBytes` of a source tensor and a write buffer are in memory. An aborted signal throws AbortError; a
 * weight that the precision cannot hold, a short read or a failing sink reject with their own error.
 */
export async function compileCheckpoint(
  checkpoint: Checkpoint,
  options: CompileOptions,
): Promise<CompiledModel> {
  const components = await compileComponents(checkpoint.components, options);
  return { description: checkpoint.description, components };
}

/** The same for components that make no checkpoint: a VAE, an upscaler. */
export async function compileComponents(
  components: readonly CheckpointComponent[],
  options: CompileOptions,
): Promise<CompiledComponent[]> {
  const {
    precision,
    sink,
    onProgress = () => {},
    signal,
    components: names,
    wants = () => true,
    maxShardBytes = 512 * MEBIBYTE,
  } = options;
  const chosen = components.filter(({ name }) => names?.includes(name) ?? true);
  const plans = chosen.map((component) => ({
    component,
    weights: placeSources(component).filter(({ spec }) => wants(component.name, spec.name)),
  }));
  const totalBytes = plans
    .flatMap(({ weights }) => weights.flatMap(({ sources }) => sources))
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, graphBytes(chosen));
  let doneBytes = 0;
  const compiled: CompiledComponent[] = [];
  for (const { component, weights } of plans) {
    const stored = componentPrecision(component.name, precision);
    const writer = new ShardWriter(component.name, sink, maxShardBytes);
    const report = (bytes: number) => {
      doneBytes += bytes;
      onProgress({ component: component.name, doneBytes, totalBytes });
    };
    report(0);
    const { onnx } = component;
    if (onnx) {
      compiled.push(await storeGraph({ ...component, onnx }, writer, { report, signal }));
      continue;
    }
    for await (const step of readAhead(componentSteps(weights, stored, options))) {
      signal?.throwIfAborted();
      if (step.type === 'weight') {
        await writer.begin(step.name, step);
      } else {
        await writer.write(step.bytes);
        report(step.sourceBytes);
      }
    }
    const { shardSizes, entries } = await writer.finish();
    const { name, config } = component;
    compiled.push({ name, config, precision: stored, shardSizes, weights: entries });
  }
  return compiled;
}

/** Source bytes of the weights of ready-made graphs. */
function graphBytes(components: readonly CheckpointComponent[]): number {
  return components.reduce((sum, { onnx }) => sum + (onnx?.sourceBytes ?? 0), 0);
}

/** What is written next: the beginning of a weight, or some of its bytes. */
type Step =
  | {
      readonly type: 'weight';
      readonly name: string;
      readonly dtype: WeightDtype;
      readonly shape: readonly number[];
    }
  | { readonly type: 'bytes'; readonly bytes: Uint8Array; readonly sourceBytes: number };

type StepOptions = Pick<CompileOptions, 'activations' | 'stripBytes' | 'signal'>;

/** Everything that a component's weights make, in the order in which it is written. */
async function* componentSteps(
  weights: readonly SourcedWeight[],
  stored: Precision,
  { activations = 'float32', stripBytes = STRIP_BYTES, signal }: StepOptions,
): AsyncGenerator<Step> {
  const narrow = stored === 'fp32' ? 'float32' : stored === 'fp16' ? 'float16' : activations;
  for (const { spec, sources } of weights) {
    const [source] = sources;
    const bits = bitsFor(spec, stored);
    if (bits && source) {
      yield* codeSteps({ spec, source, bits, scaleDtype: narrow, signal });
      continue;
    }
    const to = spec.keepFloat32 ? 'float32' : narrow;
    yield { type: 'weight', name: spec.name, dtype: to, shape: spec.storedShape };
    for (const source of sources) {
      for await (const piece of convertedPieces(source, { ...spec, stripBytes }, to, signal)) {
        yield { type: 'bytes', ...piece };
      }
    }
  }
}

/**
 * Begins the next step before the one at hand is used: while it is being stored, the source is read. What
 * is made ahead is one step, 8 MiB at most.
 */
async function* readAhead(steps: AsyncGenerator<Step>): AsyncGenerator<Step> {
  let next = steps.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = steps.next();
      yield value;
    }
  } finally {
    // Where the writing failed, nobody else hears of what the reading came to.
    await next.catch(() => {});
    await steps.return(undefined);
  }
}

/** Bits that a weight's codes have; null where it is stored in floats. */
function bitsFor(spec: WeightSpec, stored: Precision): QuantizedBits | null {
  if ((stored !== 'q8' && stored !== 'q4') || !hasCodes(spec)) return null;
  return stored === 'q8' ? 8 : 4;
}

/**
 * The codes of a matrix as they are made and its scales after them. Rows are blocks one after another in
 * the source too, so nothing is transposed and any run of whole blocks is a piece.
 */
async function* codeSteps({
  spec,
  source,
  bits,
  scaleDtype,
  signal,
}: {
  spec: WeightSpec;
  source: FloatTensor;
  bits: QuantizedBits;
  scaleDtype: TargetDtype;
  signal: AbortSignal | undefined;
}): AsyncGenerator<Step> {
  const scales = new Float32Array(sizeOf(spec.shape) / BLOCK_SIZE);
  yield { type: 'weight', name: spec.name, dtype: 'uint8', shape: codesShape(spec.shape, bits) };
  let block = 0;
  const plain = { layout: 'plain', stripBytes: STRIP_BYTES } as const;
  for await (const piece of convertedPieces(source, plain, 'float32', signal)) {
    const made = quantizeBlocks(new Float32Array(piece.bytes.buffer), bits);
    if (!made.scales.every(Number.isFinite)) {
      throw invalidModel(
        source.file.path,
        `tensor "${source.name}" holds values that are no finite numbers or too large for ${bits} bits. Choose the precision fp32.`,
      );
    }
    scales.set(made.scales, block);
    block += made.scales.length;
    yield { type: 'bytes', bytes: made.packed, sourceBytes: piece.sourceBytes };
  }
  const { bytes } = convertElements(new Uint8Array(scales.buffer), 'F32', scaleDtype);
  yield { type: 'weight', name: scalesName(spec.name), dtype: scaleDtype, shape: [scales.length] };
  yield { type: 'bytes', bytes, sourceBytes: 0 };
}

interface FloatTensor extends SourceTensor {
  readonly dtype: FloatSourceDtype;
}

interface SourcedWeight {
  readonly spec: WeightSpec;
  readonly sources: readonly FloatTensor[];
}

/** Every weight with the tensors it is made of, in the order of the files, so that reads run forward. */
function placeSources({ name, config, tensors }: CheckpointComponent): SourcedWeight[] {
  const weights = planWeights(name, config).map((spec) => ({
    spec,
    sources: spec.parts.map((part) => {
      const tensor = tensors.get(part);
      if (!tensor) throw invalidModel(name, `tensor "${part}" is missing.`);
      if (!isFloatTensor(tensor)) {
        throw unsupportedModel(tensor.file.path, `tensor "${part}" is ${tensor.dtype}.`);
      }
      return tensor;
    }),
  }));
  return weights.sort(({ sources: [a] }, { sources: [b] }) => {
    if (!a || !b || a.file.path === b.file.path) return (a?.offset ?? 0) - (b?.offset ?? 0);
    return a.file.path < b.file.path ? -1 : 1;
  });
}

function isFloatTensor(tensor: SourceTensor): tensor is FloatTensor {
  return isFloatSource(tensor.dtype);
}

interface Piece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sourceBytes: number;
}

async function* convertedPieces(
  source: FloatTensor,
  { layout, stripBytes }: Pick<WeightSpec, 'layout'> & { readonly stripBytes: number },
  to: TargetDtype,
  signal: AbortSignal | undefined,
): AsyncGenerator<Piece> {
  const convert = (elements: Uint8Array): Piece => {
    const { bytes, overflows } = convertElements(elements, source.dtype, to);
    if (overflows > 0) {
      throw invalidModel(
        source.file.path,
        `tensor "${source.name}" holds ${overflows} values too large for ${to}. Choose the precision fp32.`,
      );
    }
    return { bytes, sourceBytes: elements.byteLength };
  };
  if (layout === 'plain') {
    for (let at = 0; at < source.sizeBytes; at += PIECE_BYTES) {
      yield convert(
        await readPart(source, at, Math.min(PIECE_BYTES, source.sizeBytes - at), signal),
      );
    }
    return;
  }
  // A transpose needs all rows for its first: as many columns as may be in memory at a time, each of
  // those strips taken from a pass over all rows.
  const elementBytes = sourceBytes(source.dtype);
  const [rows = 1] = source.shape;
  const columns = sizeOf(source.shape) / rows;
  const columnBytes = rows * elementBytes;
  const inMemory = Math.min(columns, Math.max(1, Math.floor(stripBytes / columnBytes)));
  const step = Math.max(1, Math.floor(PIECE_BYTES / columnBytes));
  for (let from = 0; from < columns; from += inMemory) {
    const width = Math.min(inMemory, columns - from);
    const strip = await readColumns(source, { rows, columns, elementBytes }, from, width, signal);
    for (let column = 0; column < width; column += step) {
      const end = Math.min(column + step, width);
      const size = { rows, columns: width, elementBytes };
      yield convert(transposedStrip(strip, size, column, end));
    }
  }
}

/** Columns `from` to `from + width` of a matrix as rows of that width, read in pieces of whole rows. */
async function readColumns(
  source: FloatTensor,
  { rows, columns, elementBytes }: { rows: number; columns: number; elementBytes: number },
  from: number,
  width: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (width === columns) return readPart(source, 0, source.sizeBytes, signal);
  const [rowBytes, widthBytes] = [columns * elementBytes, width * elementBytes];
  const strip = new Uint8Array(rows * widthBytes);
  const rowsAtOnce = Math.max(1, Math.floor(PIECE_BYTES / rowBytes));
  for (let row = 0; row < rows; row += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - row);
    const piece = await readPart(source, row * rowBytes, count * rowBytes, signal);
    for (let i = 0; i < count; i++) {
      const start = i * rowBytes + from * elementBytes;
      strip.set(piece.subarray(start, start + widthBytes), (row + i) * widthBytes);
    }
  }
  return strip;
}

async function readPart(
  { file, name, offset }: SourceTensor,
  at: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const bytes = await file.read(offset + at, length, signal ? { signal } : {});
  if (bytes.byteLength !== length) {
    throw invalidModel(
      file.path,
      `is cut off: of tensor "${name}" ${length} bytes were expected at ${offset + at}, ${bytes.byteLength} came. Download it again.`,
    );
  }
  return bytes;
}
