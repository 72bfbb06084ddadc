import { describe, expect, it } from 'vitest';
import { SAMPLER_NAMES, type SamplerName } from '../../../protocol/samplers.ts';
import { createFloat32Math } from '../../../web/engine/sampling/float32-math.ts';
import type { LatentMath } from '../../../web/engine/sampling/latent-math.ts';
import { startLatents } from '../../../web/engine/sampling/latents.ts';
import { createNoiseSchedule } from '../../../web/engine/sampling/noise-schedule.ts';
import { createPhilox } from '../../../web/engine/sampling/rng/philox.ts';
import {
  isTimestepSampler,
  type RunControls,
  runSigmaSampler,
  runTimestepSampler,
} from '../../../web/engine/sampling/samplers/run-sampler.ts';
import { createSamplingPlan } from '../../../web/engine/sampling/sampling-plan.ts';

const schedule = createNoiseSchedule();
const SIZE = 64;

/** Latents that live elsewhere, as on a GPU: reading released ones is an error, and what is alive is counted. */
class Handle {
  values: Float32Array | null;
  constructor(values: Float32Array) {
    this.values = values;
  }
  read(): Float32Array {
    if (!this.values) throw new Error('latents were used after their release');
    return this.values;
  }
}

function createTrackedMath() {
  const plain = createFloat32Math();
  let alive: Handle[] = [];
  let most = 0;
  const keep = (values: Float32Array) => {
    const handle = new Handle(values);
    alive.push(handle);
    most = Math.max(most, alive.length);
    return handle;
  };
  const math: LatentMath<Handle> = {
    async combine(terms) {
      return keep(await plain.combine(terms.map(([c, latents]) => [c, latents.read()])));
    },
    fromArray: (values) => keep(values.slice()),
    toArray: async (latents) => latents.read().slice(),
    keepOnly(live) {
      for (const handle of alive) if (!live.includes(handle)) handle.values = null;
      alive = alive.filter((handle) => live.includes(handle));
    },
  };
  return { math, keep, aliveCount: () => alive.length, most: () => most };
}

/** Runs a sampler with a Gaussian's exact denoiser (data of deviation `spread`), wherever its latents live. */
function run<T>(
  name: SamplerName,
  steps: number,
  {
    map,
    start,
    spread = 0.8,
    ...controls
  }: Omit<RunControls<T>, 'noise'> & {
    map: (x: T, change: (value: number) => number) => T;
    start: (values: Float32Array) => T;
    spread?: number;
  },
): Promise<T> {
  const request = { sampler: name, scheduler: 'automatic', mode: 'txt2img', steps } as const;
  const plan = createSamplingPlan(request, schedule);
  const random = createPhilox(11);
  const x = start(startLatents(plan.start, random.randn(SIZE)));
  const all = { ...controls, noise: () => random.randn(SIZE) };
  if (plan.kind === 'sigma') {
    return runSigmaSampler(plan.sampler, x, plan.sigmas, {
      ...all,
      options: plan.options,
      denoiser: async (latents, sigma) =>
        map(latents, (value) => (value * spread ** 2) / (spread ** 2 + sigma ** 2)),
    });
  }
  return runTimestepSampler(plan.sampler, x, plan.timesteps, {
    ...all,
    options: plan.options,
    alphasCumprod: schedule.alphasCumprod,
    predictNoise: async (latents, t) => {
      const alpha = schedule.alphasCumprod[Math.round(t)]!;
      const variance = alpha * spread ** 2 + 1 - alpha;
      const eps = map(latents, (value) => (value * Math.sqrt(1 - alpha)) / variance);
      return { guided: eps, uncond: eps };
    },
  });
}

const float32 = {
  math: createFloat32Math(),
  map: (x: Float32Array, change: (value: number) => number) => x.map(change),
  start: (values: Float32Array) => values,
};

describe.each(SAMPLER_NAMES)('%s', (name) => {
  it('releases what it no longer needs and nothing else', async () => {
    const tracked = createTrackedMath();
    const latents: number[] = [];
    const result = await run<Handle>(name, 12, {
      math: tracked.math,
      map: (x, change) => tracked.keep(x.read().map(change)),
      start: tracked.keep,
      onStep: ({ x, denoised }) => {
        latents.push(x.read()[0]!, denoised?.read()[0] ?? 0, tracked.aliveCount());
      },
    });
    expect(result.read()).toEqual(await run(name, 12, float32));
    // The result, and what a multistep method has kept for a step that did not come.
    expect(tracked.aliveCount()).toBeLessThanOrEqual(5);
    expect(tracked.most()).toBeLessThanOrEqual(20);
    expect(latents.length).toBeGreaterThan(0);
  });

  it('is the same each time', async () => {
    expect(await run(name, 7, float32)).toEqual(await run(name, 7, float32));
  });

  it('counts its steps', async () => {
    const seen: [number, number][] = [];
    const onStep = ({ step, steps }: { step: number; steps: number }) =>
      void seen.push([step, steps]);
    await run(name, 12, { ...float32, onStep });
    expect(seen.map(([step]) => step)).toEqual(seen.map((_, index) => index));
    if (name !== 'DPM adaptive') {
      expect(seen.every(([, steps]) => steps === seen.length)).toBe(true);
    }
  });

  it('ends with an AbortError when it is aborted', async () => {
    const controller = new AbortController();
    let steps = 0;
    const onStep = () => {
      steps += 1;
      if (steps === 2) controller.abort();
    };
    const { signal } = controller;
    const aborted = run(name, 12, { ...float32, onStep, signal });
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
    expect(steps).toBe(2);
    const late = run(name, 12, { ...float32, signal });
    await expect(late).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('stops with the estimate so far when it is asked to', async () => {
    const seen: (Float32Array | null)[] = [];
    const stopped = await run(name, 12, {
      ...float32,
      onStep: ({ denoised }) => void seen.push(denoised),
      shouldStop: () => seen.length === 3,
    });
    expect(seen).toHaveLength(3);
    expect(stopped).toEqual(seen[2]);
  });

  it('waits for what a step starts', async () => {
    const order: string[] = [];
    await run(name, 4, {
      ...float32,
      onStep: async ({ step }) => {
        order.push(`start ${step}`);
        await new Promise((resolve) => setTimeout(resolve, 1));
        order.push(`end ${step}`);
      },
    });
    const alternating = order.every((entry, i) => entry.startsWith(i % 2 === 0 ? 'start' : 'end'));
    expect(alternating).toBe(true);
  });

  it.each([1, 2, 3])('makes finite latents in %s steps', async (steps) => {
    const latents = await run(name, steps, float32);
    expect(latents.every(Number.isFinite)).toBe(true);
  });

  it('fails with what the model fails with', async () => {
    const map = () => {
      throw new Error('the device is gone');
    };
    await expect(run(name, 5, { ...float32, map })).rejects.toThrow('the device is gone');
  });

  it('is the kind of sampler that its plan says', () => {
    const request = { sampler: name, scheduler: 'automatic', mode: 'txt2img', steps: 5 } as const;
    const plan = createSamplingPlan(request, schedule);
    expect(plan.kind).toBe(isTimestepSampler(name) ? 'timestep' : 'sigma');
  });
});
