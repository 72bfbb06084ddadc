import type { DeviceInfo } from '../../../protocol/device.ts';
import type { EngineStart } from '../../../protocol/engine-start.ts';
import type { BuiltGraph } from '../../compiler/model.ts';
import { type DeviceChoice, requestDevice } from './adapter.ts';
import { bundleFor, loadBundle, type Ort } from './bundle.ts';
import { createRuntimeClock, type RuntimeCounters } from './counters.ts';
import { deviceLostError, runtimeError } from './errors.ts';
import { yieldToEvents } from './macrotask.ts';
import {
  type DeviceTensor,
  type OrtTensor,
  RuntimeTensor,
  type TensorDtype,
  type TensorValues,
} from './tensor.ts';

export interface OpenSessionOptions {
  /** The model part's name in errors. */
  readonly what: string;
  /** One Blob a shard, in the order of `graph.shardPaths`. */
  readonly shards?: readonly Blob[];
  /** Outputs stay on the GPU; without effect on wasm. */
  readonly keepOnGpu?: boolean;
}

/** One graph with its weights, ready to run. */
export interface ModelSession {
  /** Runs the graph; outputs belong to the caller, inputs stay the caller's. */
  run(feeds: Readonly<Record<string, DeviceTensor>>): Promise<Record<string, DeviceTensor>>;
  /** Gives weights and graph back; safe to call twice. */
  release(): Promise<void>;
}

/** The seam where the hardware starts: all that the pipeline needs of a device. */
export interface Runtime {
  readonly device: DeviceInfo;
  /** The runtime's version, part of every cache key. */
  readonly version: string;
  readonly counters: RuntimeCounters;
  /** Resolves with the reason when the device goes away; never on wasm. */
  readonly lost: Promise<string>;
  openSession(graph: BuiltGraph, options: OpenSessionOptions): Promise<ModelSession>;
  /** A tensor in JavaScript memory: uploaded at every run that is fed with it. */
  tensor(values: TensorValues, shape: readonly number[]): DeviceTensor;
  /** A tensor that stays where sessions run: uploaded once on WebGPU. */
  upload(values: TensorValues, shape: readonly number[]): DeviceTensor;
  /** Waits for the work submitted so far, without reading anything back; on wasm lets events in. */
  settled(): Promise<void>;
  /** Picture `index` of a batch as a tensor of its own, with no read-back. */
  sliceBatch(tensor: DeviceTensor, index: number): DeviceTensor;
  close(): Promise<void>;
}

/** Session creation is serial in the whole page: the runtime's external-data mounts are global. */
let creations: Promise<unknown> = Promise.resolve();

/** Runs `task` after every task before it, failed or not. */
function afterCreations<T>(task: () => Promise<T>): Promise<T> {
  const result = creations.then(task, task);
  creations = result.catch(() => {});
  return result;
}

export interface RuntimeOptions {
  /** How WebGPU buffers of one run are kept for the next; without effect on wasm. */
  readonly allocator?: EngineStart['allocator'];
}

/** The runtime's names of the allocators. */
const BUFFER_CACHE = { caching: 'bucket', simple: 'simple', disabled: 'disabled' } as const;

/** Opens the runtime on a chosen device. */
export async function openRuntime(
  choice: DeviceChoice,
  options: RuntimeOptions = {},
): Promise<Runtime> {
  const ort = await loadBundle(bundleFor(choice.info.provider), choice.info.wasmThreads);
  const device = choice.adapter ? await requestDevice(choice.adapter) : null;
  return createRuntime(ort, choice.info, device, options);
}

/** The runtime over a loaded bundle and an open device; `device` is null for the wasm provider. */
export function createRuntime(
  ort: Ort,
  info: DeviceInfo,
  device: GPUDevice | null,
  options: RuntimeOptions = {},
): Runtime {
  return new OrtRuntime(ort, info, device, options);
}

class OrtRuntime implements Runtime {
  readonly device: DeviceInfo;
  readonly lost: Promise<string>;
  readonly #clock = createRuntimeClock();
  readonly #ort: Ort;
  readonly #gpu: GPUDevice | null;
  readonly #bufferCache: 'bucket' | 'simple' | 'disabled';
  readonly #sessions = new Set<ModelSession>();
  #runs: Promise<unknown> = Promise.resolve();
  #lostReason: string | null = null;

  constructor(
    ort: Ort,
    info: DeviceInfo,
    gpu: GPUDevice | null,
    { allocator = 'caching' }: RuntimeOptions,
  ) {
    this.#ort = ort;
    this.device = info;
    this.#gpu = gpu;
    this.#bufferCache = BUFFER_CACHE[allocator];
    this.lost = gpu
      ? gpu.lost.then(({ reason, message }) => {
          this.#lostReason = [reason, message].filter((part) => part).join(': ');
          return this.#lostReason;
        })
      : new Promise(() => {});
  }

  get counters(): RuntimeCounters {
    return this.#clock.counters;
  }

  get version(): string {
    return `onnxruntime-web ${this.#ort.env.versions.web ?? this.#ort.env.versions.common}`;
  }

  async openSession(graph: BuiltGraph, options: OpenSessionOptions): Promise<ModelSession> {
    const { what, shards = [], keepOnGpu = false } = options;
    const onGpu = this.#gpu !== null && keepOnGpu;
    try {
      const session = await afterCreations(() =>
        this.#ort.InferenceSession.create(graph.onnx, {
          executionProviders: [
            // As an object: given as a string, provider options never reach the provider.
            this.#gpu
              ? {
                  name: 'webgpu',
                  device: this.#gpu,
                  storageBufferCacheMode: this.#bufferCache,
                }
              : { name: 'wasm' },
          ],
          externalData: shards.map((data, index) => ({
            path: graph.shardPaths[index] ?? '',
            data,
          })),
          preferredOutputLocation: onGpu ? 'gpu-buffer' : 'cpu',
          // Shapes are fixed, so one block serves all of a run's tensors. No arena: it would keep the peak.
          enableMemPattern: true,
          logSeverityLevel: 3,
        }),
      );
      const opened: ModelSession = {
        run: (feeds) => this.#run(session, what, feeds, onGpu),
        release: () => this.#release(opened, session),
      };
      this.#sessions.add(opened);
      return opened;
    } catch (error) {
      throw this.#explain(error, what);
    }
  }

  tensor(values: TensorValues, shape: readonly number[]): DeviceTensor {
    return this.#wrap(this.#cpuTensor(values, shape));
  }

  upload(values: TensorValues, shape: readonly number[]): DeviceTensor {
    if (!this.#gpu) return this.tensor(values, shape);
    const buffer = this.#buffer(this.#gpu, values.byteLength);
    this.#gpu.queue.writeBuffer(buffer, 0, values.buffer, values.byteOffset, values.byteLength);
    this.counters.uploads += 1;
    this.counters.uploadedBytes += values.byteLength;
    return this.#ownTensor(buffer, dtypeOf(values), shape);
  }

  async settled(): Promise<void> {
    const gpu = this.#gpu;
    if (!gpu) return yieldToEvents();
    await this.#atWork('The graphics device', () =>
      Promise.race([gpu.queue.onSubmittedWorkDone(), this.lost]),
    );
  }

  sliceBatch(tensor: DeviceTensor, index: number): DeviceTensor {
    const [batch = 1, ...rest] = tensor.shape;
    const source = ortTensor(tensor);
    const size = rest.reduce((product, side) => product * side, 1);
    if (source.location !== 'gpu-buffer' || !this.#gpu) {
      const values = source.data as TensorValues;
      return this.tensor(values.slice(index * size, (index + 1) * size), [1, ...rest]);
    }
    const bytes = size * 4;
    const buffer = this.#buffer(this.#gpu, bytes);
    const encoder = this.#gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(source.gpuBuffer, (index % batch) * bytes, buffer, 0, bytes);
    this.#gpu.queue.submit([encoder.finish()]);
    return this.#ownTensor(buffer, tensor.dtype, [1, ...rest]);
  }

  async close(): Promise<void> {
    // A lost device may refuse to release; its memory is gone anyway.
    for (const session of this.#sessions) await session.release().catch(() => {});
    this.#gpu?.destroy();
  }

  #cpuTensor(values: TensorValues, shape: readonly number[]): OrtTensor {
    return new this.#ort.Tensor(dtypeOf(values), values, shape);
  }

  #buffer(gpu: GPUDevice, bytes: number): GPUBuffer {
    return gpu.createBuffer({
      // The provider reads whole vectors of four floats.
      size: Math.ceil(bytes / 16) * 16,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  #ownTensor(buffer: GPUBuffer, dtype: TensorDtype, shape: readonly number[]): RuntimeTensor {
    const tensor = this.#ort.Tensor.fromGpuBuffer(buffer, {
      dataType: dtype,
      dims: shape,
      download: () => this.#download(buffer, dtype, shape),
      dispose: () => buffer.destroy(),
    });
    return this.#wrap(tensor);
  }

  #wrap(tensor: OrtTensor): RuntimeTensor {
    return new RuntimeTensor(tensor, () => {
      this.counters.readBacks += 1;
      return this.#atWork('Reading values back', () => tensor.getData(false));
    });
  }

  async #download(source: GPUBuffer, dtype: TensorDtype, shape: readonly number[]) {
    const gpu = this.#gpu;
    if (!gpu) throw new TypeError('a GPU tensor without a GPU');
    const bytes = shape.reduce((product, side) => product * side, 4);
    const staging = gpu.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const copy = staging.getMappedRange().slice(0);
    staging.destroy();
    return dtype === 'int32' ? new Int32Array(copy) : new Float32Array(copy);
  }

  /** One run at a time: the WebGPU builds suspend inside wasm and cannot be entered twice. */
  #run(
    session: OrtSessionHandle,
    what: string,
    feeds: Readonly<Record<string, DeviceTensor>>,
    isKeptOnGpu: boolean,
  ): Promise<Record<string, DeviceTensor>> {
    const task = async () => {
      if (this.#lostReason !== null) throw deviceLostError(this.#lostReason);
      const inputs: Record<string, OrtTensor> = {};
      for (const [name, tensor] of Object.entries(feeds)) {
        inputs[name] = ortTensor(tensor);
        if (this.#gpu && tensor.location === 'cpu') {
          this.counters.uploads += 1;
          this.counters.uploadedBytes += inputs[name].size * 4;
        }
      }
      this.counters.runs += 1;
      const outputs = await this.#atWork(what, () => session.run(inputs));
      if (this.#gpu && !isKeptOnGpu) this.counters.readBacks += Object.keys(outputs).length;
      return Object.fromEntries(
        Object.entries(outputs).map(([name, tensor]) => [name, this.#wrap(tensor as OrtTensor)]),
      );
    };
    const result = this.#runs.then(task);
    this.#runs = result.catch(() => {});
    return result;
  }

  /** Awaits the device while the clock runs; what it throws is explained. */
  async #atWork<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await this.#clock.time(work);
    } catch (error) {
      // The browser reports a loss a moment after the work that fell victim to it.
      if (this.#gpu) await Promise.race([this.lost, new Promise((r) => setTimeout(r, 50))]);
      throw this.#explain(error, what);
    }
  }

  /** After every run and creation before it: a session in use must not go. */
  async #release(opened: ModelSession, session: OrtSessionHandle): Promise<void> {
    if (!this.#sessions.delete(opened)) return;
    await this.#runs;
    await afterCreations(() => session.release());
  }

  #explain(error: unknown, what: string): Error {
    if (this.#lostReason !== null) return deviceLostError(this.#lostReason, error);
    return runtimeError(error, what);
  }
}

type OrtSessionHandle = Awaited<ReturnType<Ort['InferenceSession']['create']>>;
function ortTensor(tensor: DeviceTensor): OrtTensor {
  if (tensor instanceof RuntimeTensor) return tensor.ort;
  throw new TypeError('a tensor of another runtime');
}

function dtypeOf(values: TensorValues): TensorDtype {
  return values instanceof Int32Array ? 'int32' : 'float32';
}
