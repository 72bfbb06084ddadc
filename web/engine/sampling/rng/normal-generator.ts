import { createMersenne } from './mersenne.ts';
import { createPhilox } from './philox.ts';

/** Where a job's random numbers come from, as A1111's `randn_source` names it; `gpu` and `nv` are both Philox. */
export type RandnSource = 'gpu' | 'nv' | 'cpu';

/** A seeded stream of standard normals; every call of `randn` continues where the one before it ended. */
export interface NormalGenerator {
  /** `count` standard normals as float32. */
  randn(count: number): Float32Array;
}

/** A fresh generator of the job's random number source. `seed` is an integer from 0 to 2^53 - 1. */
export function createNormalGenerator(source: RandnSource, seed: number): NormalGenerator {
  return source === 'cpu' ? createMersenne(seed) : createPhilox(seed);
}
