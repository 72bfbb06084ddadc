import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  findSampler,
  findScheduler,
  hiresChoice,
  resolveSamplerAndScheduler,
} from '../../protocol/sampler-names.ts';
import { SAMPLERS, schedulerLabel } from '../../protocol/samplers.ts';

interface Vectors {
  samplers: {
    name: string;
    aliases: string[];
    options: Record<string, unknown>;
    total_steps_for_10: number;
  }[];
  sampler_and_scheduler: {
    sampler: string | null;
    scheduler: string | null;
    result: [string, string];
    keep_automatic_apart: [string, string];
  }[];
  hires: {
    infotext: Record<string, string>;
    sampler: string;
    scheduler: string;
    hires: [string, string];
  }[];
  corrected: { sampler: string | null; scheduler: string | null; result: [string, string] }[];
  aliases: Record<string, string>;
}

const url = new URL('../fixtures/vectors/sampler-aliases.json', import.meta.url);
const vectors = JSON.parse(readFileSync(url, 'utf8')) as Vectors;

function strict(
  sampler: string | null | undefined,
  scheduler: string | null | undefined,
  keepsDefaultApart = false,
): [string, string] {
  const options = { isStrict: true, keepsDefaultApart };
  const resolved = resolveSamplerAndScheduler(sampler, scheduler, options);
  return [resolved.sampler, schedulerLabel(resolved.scheduler)];
}

describe('the list of samplers', () => {
  it("is A1111's, with its options", () => {
    const got = SAMPLERS.map((info) => ({
      name: info.name,
      aliases: info.aliases,
      options: {
        ...(info.defaultScheduler && { scheduler: info.defaultScheduler }),
        ...(info.isSecondOrder && { second_order: true }),
        ...(info.usesEnsd && { uses_ensd: true }),
        ...(info.usesBrownianNoise && { brownian_noise: true }),
        ...(info.discardsNextToLastSigma && { discard_next_to_last_sigma: true }),
        ...(info.solverType && { solver_type: info.solverType }),
      },
      total_steps_for_10: info.isSecondOrder ? 20 : 10,
    }));
    expect(got).toEqual(vectors.samplers);
  });

  it.each(Object.entries(vectors.aliases))('finds %s', (alias, name) => {
    expect(findSampler(alias)).toBe(name);
  });
});

describe("A1111's own rule", () => {
  it.each(vectors.sampler_and_scheduler)('$sampler and $scheduler', (row) => {
    expect(strict(row.sampler, row.scheduler)).toEqual(row.result);
    expect(strict(row.sampler, row.scheduler, true)).toEqual(row.keep_automatic_apart);
  });

  it.each(vectors.corrected)('corrects $sampler and $scheduler', (row) => {
    expect(strict(row.sampler, row.scheduler, true)).toEqual(row.result);
  });

  it.each(vectors.hires)('reads $infotext', (row) => {
    const [sampler, scheduler] = [row.infotext.Sampler, row.infotext['Schedule type']];
    expect(strict(sampler, scheduler)).toEqual([row.sampler, row.scheduler]);
    expect(hiresChoice(row.infotext)).toEqual(row.hires);
  });
});

describe('the lenient rule', () => {
  it('agrees with A1111 wherever A1111 knows the names', () => {
    for (const { sampler, scheduler } of vectors.sampler_and_scheduler) {
      const a1111 = resolveSamplerAndScheduler(sampler, scheduler, { isStrict: true });
      if (a1111.isSamplerSubstituted || a1111.isSchedulerSubstituted) continue;
      expect(resolveSamplerAndScheduler(sampler, scheduler)).toEqual(a1111);
    }
  });

  it.each([
    ['euler a', null, 'Euler a', 'automatic'],
    ['k_euler_a', null, 'Euler a', 'automatic'],
    [' Euler', null, 'Euler', 'automatic'],
    ['Euler SGM Uniform', null, 'Euler', 'sgm_uniform'],
    ['EULER KARRAS', null, 'Euler', 'karras'],
    ['k_dpmpp_2m karras', 'exponential', 'DPM++ 2M', 'automatic'],
    ['DPM2 A', 'Simple', 'DPM2 a', 'simple'],
    ['lcm', 'sgm uniform', 'LCM', 'sgm_uniform'],
    ['Euler', 'KL optimal', 'Euler', 'kl_optimal'],
    ['DDIM', 'SGMUniform', 'DDIM', 'sgm_uniform'],
  ])('%s and %s is %s, %s', (sampler, scheduler, wantSampler, wantScheduler) => {
    expect(resolveSamplerAndScheduler(sampler, scheduler)).toEqual({
      sampler: wantSampler,
      scheduler: wantScheduler,
      isSamplerSubstituted: false,
      isSchedulerSubstituted: false,
    });
  });

  it('says what it substituted', () => {
    expect(resolveSamplerAndScheduler('Nonsense', 'simple')).toEqual({
      sampler: 'DPM++ 2M',
      scheduler: 'simple',
      isSamplerSubstituted: true,
      isSchedulerSubstituted: false,
    });
    expect(resolveSamplerAndScheduler('Euler a', 'Turbo')).toEqual({
      sampler: 'Euler a',
      scheduler: 'automatic',
      isSamplerSubstituted: false,
      isSchedulerSubstituted: true,
    });
    const none = { isSamplerSubstituted: false, isSchedulerSubstituted: false };
    expect(resolveSamplerAndScheduler(null, undefined)).toMatchObject(none);
    expect(resolveSamplerAndScheduler('', '')).toMatchObject(none);
  });

  it('keeps the schedule of a sampler that nobody knows', () => {
    const resolved = resolveSamplerAndScheduler('Nonsense Beta', null);
    expect(resolved).toMatchObject({ scheduler: 'beta', isSamplerSubstituted: true });
  });

  it('finds schedulers by name, label and alias', () => {
    const names = ['SGM Uniform', 'sgm_uniform', 'SGMUniform', 'sgm uniform', 'nothing'];
    expect(names.map(findScheduler)).toEqual([...Array(4).fill('sgm_uniform'), null]);
  });
});
