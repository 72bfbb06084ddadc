import type { Ort } from './bundle.ts';
import type { RuntimeClock } from './counters.ts';

/** Types that cross the boundary of our graphs: everything is float32 but token ids. */
export type TensorDtype = 'float32' | 'int32';
export type TensorValues = Float32Array | Int32Array;

/** A tensor of the runtime, in JavaScript memory or in a GPU buffer; its owner disposes it. */
export interface DeviceTensor {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly location: 'cpu' | 'gpu';
  /** The values; of a GPU tensor they are read back, which waits for all work before. */
  read(): Promise<TensorValues>;
  /** Gives the memory back; safe to call twice. */
  dispose(): void;
}

export type OrtTensor = InstanceType<Ort['Tensor']>;

/** The only implementation of `DeviceTensor` outside tests. */
export class RuntimeTensor implements DeviceTensor {
  readonly ort: OrtTensor;
  readonly #clock: RuntimeClock;
  #isDisposed = false;

  constructor(ort: OrtTensor, clock: RuntimeClock) {
    this.ort = ort;
    this.#clock = clock;
  }

  get dtype(): TensorDtype {
    return this.ort.type === 'int32' ? 'int32' : 'float32';
  }

  get shape(): readonly number[] {
    return this.ort.dims;
  }

  get location(): 'cpu' | 'gpu' {
    return this.ort.location === 'gpu-buffer' ? 'gpu' : 'cpu';
  }

  async read(): Promise<TensorValues> {
    if (this.location === 'cpu') return values(this.ort.data);
    this.#clock.counters.readBacks += 1;
    return values(await this.#clock.time(() => this.ort.getData(false)));
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.ort.dispose();
  }
}

function values(data: unknown): TensorValues {
  if (data instanceof Float32Array || data instanceof Int32Array) return data;
  throw new TypeError('a tensor at a graph boundary is neither float32 nor int32');
}
