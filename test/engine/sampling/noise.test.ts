import { describe, expect, it } from 'vitest';
import { createBrownianNoise, roundTime } from '../../../web/engine/sampling/rng/brownian.ts';
import { createImageRng, type LatentShape } from '../../../web/engine/sampling/rng/image-rng.ts';
import { createMersenne } from '../../../web/engine/sampling/rng/mersenne.ts';
import { createNormalGenerator } from '../../../web/engine/sampling/rng/normal-generator.ts';
import { createPhilox, philoxPair } from '../../../web/engine/sampling/rng/philox.ts';
import { seedState } from '../../../web/engine/sampling/rng/seed-sequence.ts';
import { expectClose, readVectors, type VectorNumber } from './vectors.ts';

interface Summary {
  shape?: number[];
  head: number[];
  tail: number[];
  sum: number;
  sum_sq: number;
}
interface PhiloxVectors {
  raw: { seed: number; call: number; index: number; words: number[]; normal: number }[];
  randn: { seed: number; shape: number[] | null; calls: Summary[] }[];
  cpu_randn: { seed: number; shape: number[]; calls: Summary[] }[];
  image_rng: {
    randn_source: 'NV' | 'CPU';
    shape: LatentShape;
    seeds: number[];
    subseeds: number[] | null;
    subseed_strength: number;
    seed_resize_from_w: number;
    seed_resize_from_h: number;
    eta_noise_seed_delta: number;
    calls: (number[] | Summary)[][];
  }[];
}
interface BrownianVectors {
  seed_sequence: {
    /** Beyond 2^53 as text. */
    entropy: number | string;
    spawn_key: number[] | null;
    pool_size: number;
    state: number[];
  }[];
  trees: {
    randn_source: 'NV' | 'CPU';
    seeds: number[];
    shape: number[];
    sigma_min: number;
    sigma_max: number;
    queries: string;
    noise: { sigma: number; sigma_next: number; noise: VectorNumber[] }[];
  }[];
}

const philox = readVectors<PhiloxVectors>('philox');
const brownian = readVectors<BrownianVectors>('brownian');
const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const sourceOf = (name: 'NV' | 'CPU') => (name === 'NV' ? 'nv' : 'cpu');

function expectSummary(got: Float32Array, want: Summary, tolerance: number, what: string): void {
  const isExact = tolerance === 0;
  const head = got.subarray(0, want.head.length);
  const tail = got.subarray(got.length - want.tail.length);
  if (isExact) {
    expect([...head], what).toEqual(want.head.map(Math.fround));
    expect([...tail], what).toEqual(want.tail.map(Math.fround));
  } else {
    expectClose(head, want.head, tolerance, { what: `${what} head` });
    expectClose(tail, want.tail, tolerance, { what: `${what} tail` });
  }
  const sum = got.reduce((a, b) => a + b, 0);
  const squares = got.reduce((a, b) => a + b * b, 0);
  const root = Math.sqrt(got.length);
  expect(Math.abs(sum - want.sum), `${what} sum`).toBeLessThan(1e-5 * root + 1e-4);
  expect(Math.abs(squares - want.sum_sq), `${what} squares`).toBeLessThan(1e-4 * root + 1e-3);
}

describe('Philox', () => {
  it.each(philox.raw)('words and normal of seed $seed, call $call, index $index', (row) => {
    expect(philoxPair(row.seed, row.call, row.index)).toEqual(row.words.slice(0, 2));
    const generator = createPhilox(row.seed);
    for (let call = 0; call < row.call; call++) generator.randn(1);
    expect(generator.randn(row.index + 1).at(-1)).toBe(Math.fround(row.normal));
  });

  it.each(philox.randn)(
    'two calls of randn, seed $seed, shape $shape',
    ({ seed, shape, calls }) => {
      const generator = createPhilox(seed);
      for (const [index, call] of calls.entries()) {
        const normals = generator.randn(sizeOf(shape ?? call.shape!));
        expectSummary(normals, call, 0, `call ${index}`);
      }
    },
  );

  it('makes the noise of a 512 by 512 picture in a few milliseconds', () => {
    const generator = createPhilox(1);
    generator.randn(4 * 64 * 64);
    const times = Array.from({ length: 9 }, () => {
      const start = performance.now();
      generator.randn(4 * 64 * 64);
      return performance.now() - start;
    });
    // The fastest run: the machine may be busy with something else during the others.
    expect(Math.min(...times)).toBeLessThan(10);
  });
});

describe("torch's CPU generator", () => {
  it.each(philox.cpu_randn)('seed $seed, shape $shape', ({ seed, shape, calls }) => {
    const generator = createMersenne(seed);
    for (const [index, call] of calls.entries()) {
      expectSummary(generator.randn(sizeOf(shape)), call, 2e-6, `call ${index}`);
    }
  });
});

describe('the noise of a job', () => {
  it.each(philox.image_rng.map((row, index) => ({ index, row })))('case $index', ({ row }) => {
    const rng = createImageRng({
      shape: row.shape,
      seeds: row.seeds,
      subseeds: row.subseeds,
      subseedStrength: row.subseed_strength,
      seedResizeFromWidth: row.seed_resize_from_w,
      seedResizeFromHeight: row.seed_resize_from_h,
      etaNoiseSeedDelta: row.eta_noise_seed_delta,
      source: sourceOf(row.randn_source),
    });
    const size = sizeOf(row.shape);
    for (const [call, images] of row.calls.entries()) {
      const batch = call === 0 ? rng.first() : rng.next();
      expect(batch.length).toBe(images.length * size);
      for (const [index, want] of images.entries()) {
        const got = batch.subarray(index * size, (index + 1) * size);
        const what = `call ${call}, image ${index}`;
        if (Array.isArray(want)) expectClose(got, want, 5e-5, { what });
        else {
          expectClose(got.subarray(0, want.head.length), want.head, 5e-5, { what });
          expectClose(got.subarray(size - want.tail.length), want.tail, 5e-5, { what });
        }
      }
    }
  });

  it('starts with the start noise whichever method is asked first', () => {
    const options = { shape: [4, 2, 2], seeds: [7] } as const;
    expect(createImageRng(options).next()).toEqual(createImageRng(options).first());
  });

  it('is the same for both names of Philox, and for any number of channels', () => {
    const values = (source: 'gpu' | 'nv') => createNormalGenerator(source, 3).randn(5);
    expect(values('gpu')).toEqual(values('nv'));
    const rng = createImageRng({ shape: [16, 2, 3], seeds: [1, 2], vaeFactor: 32 });
    expect(rng.first()).toHaveLength(2 * 16 * 2 * 3);
  });
});

describe('the Brownian tree', () => {
  it.each(brownian.seed_sequence)('SeedSequence($entropy, $spawn_key, $pool_size)', (row) => {
    expect([...seedState(BigInt(row.entropy), row.spawn_key, 4, row.pool_size)]).toEqual(row.state);
  });

  it.each(brownian.trees)('$randn_source, seeds $seeds, $queries', (row) => {
    const noise = createBrownianNoise({
      seeds: row.seeds,
      size: sizeOf(row.shape.slice(1)),
      sigmaMin: row.sigma_min,
      sigmaMax: row.sigma_max,
      source: sourceOf(row.randn_source),
    });
    for (const query of row.noise) {
      const what = `${query.sigma} to ${query.sigma_next}`;
      expectClose(noise(query.sigma, query.sigma_next), query.noise, 1e-5, { what });
    }
  });

  it('gives the same noise again after it has forgotten it', () => {
    const noise = createBrownianNoise({ seeds: [5], size: 16, sigmaMin: 0.03, sigmaMax: 14.6 });
    const early = noise(14.6, 7);
    noise(0.5, 0.1);
    expect(noise(14.6, 7)).toEqual(early);
  });

  it('rounds times to six decimals, ties to even', () => {
    expect(roundTime(0.0078125)).toBe(0.007812);
    expect(roundTime(3 * 0.0078125)).toBe(0.023438);
    expect(roundTime(14.6146434)).toBe(14.614643);
  });
});
