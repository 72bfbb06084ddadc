import type { Ort } from './bundle.ts';

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
  readonly #download: () => Promise<unknown>;
  #isDisposed = false;

  /** `download` brings the values of a GPU tensor to JavaScript, with errors that callers branch on. */
  constructor(ort: OrtTensor, download: () => Promise<unknown>) {
    this.ort = ort;
    this.#download = download;
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
    return values(this.location === 'cpu' ? this.ort.data : await this.#download());
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
