import { describe, expect, it } from 'vitest';
import { schedulerLabel } from '../../../protocol/samplers.ts';
import { createServer, readVectors, type SamplerAliases } from './helpers.ts';

const aliases = readVectors<SamplerAliases>('sampler-aliases.json');

const server = createServer();

async function chosen(body: object) {
  const { params } = await server.generate(body);
  return [params.sampler, schedulerLabel(params.scheduler), params.notes] as const;
}

describe('[M14] sampler and scheduler names', () => {
  it.each([
    [{ sampler_name: 'Huen' }, 'Heun', 'Automatic'],
    [{ sampler_name: 'DPM2 A' }, 'DPM2 a', 'Automatic'],
    [{ sampler_name: 'DPM Fast' }, 'DPM fast', 'Automatic'],
    [{ sampler_name: 'DPM Adaptive' }, 'DPM adaptive', 'Automatic'],
    [{ sampler_name: 'LMS Karras' }, 'LMS', 'Karras'],
    [{ sampler_name: 'DPM2 a Karras' }, 'DPM2 a', 'Automatic'],
    [{ sampler_name: 'DPM++ 3M SDE Exponential' }, 'DPM++ 3M SDE', 'Automatic'],
    [{ sampler_name: 'DPM++ 2M Karras' }, 'DPM++ 2M', 'Automatic'],
    [{ sampler_name: 'DPM++ 2M SDE Karras' }, 'DPM++ 2M SDE', 'Karras'],
    [{ sampler_name: 'Euler Karras', scheduler: 'Exponential' }, 'Euler', 'Karras'],
    [{ sampler_name: 'k_euler_a' }, 'Euler a', 'Automatic'],
    [{ sampler_name: 'k_euler' }, 'Euler', 'Automatic'],
    [{ sampler_name: 'euler a' }, 'Euler a', 'Automatic'],
    [{ sampler_name: 'ddim', scheduler: 'normal' }, 'DDIM', 'Normal'],
    [{ sampler_name: 'SharkEulerDiscrete' }, 'Euler', 'Automatic'],
    [{ sampler_name: 'DPMSolverMultistepKarras++' }, 'DPM++ 2M', 'Automatic'],
    [{ sampler_name: 'PNDM' }, 'PLMS', 'Automatic'],
    [{ sampler_name: 'Euler', scheduler: 'sgm_uniform' }, 'Euler', 'SGM Uniform'],
    [{ sampler_name: 'Euler', scheduler: 'SGM Uniform' }, 'Euler', 'SGM Uniform'],
    [{ sampler_name: 'Euler', scheduler: 'simple' }, 'Euler', 'Simple'],
    [{ sampler_name: 'Euler', scheduler: 'automatic' }, 'Euler', 'Automatic'],
    [{ sampler_name: 'Euler', scheduler: '' }, 'Euler', 'Automatic'],
    [{ sampler_index: 'Heun' }, 'Heun', 'Automatic'],
    [{ sampler_index: '' }, 'Euler', 'Automatic'],
    [{ sampler_name: '', sampler_index: 'LMS' }, 'LMS', 'Automatic'],
    [{ sampler_name: 'DDIM', sampler_index: 'LMS' }, 'DDIM', 'Automatic'],
    [{ sampler: 'k_euler', sampler_index: 'Heun' }, 'Euler', 'Automatic'],
  ])('%j', async (body, sampler, scheduler) => {
    expect(await chosen(body)).toEqual([sampler, scheduler, []]);
  });

  it('an unknown sampler is DPM++ 2M, an unknown scheduler Automatic, and both are said', async () => {
    expect(await chosen({ sampler_name: 'Nonsense' })).toEqual([
      'DPM++ 2M',
      'Automatic',
      ['There is no sampler "Nonsense"; DPM++ 2M was used.'],
    ]);
    expect(await chosen({ sampler_name: 'LMS', scheduler: 'odd' })).toEqual([
      'LMS',
      'Automatic',
      ['There is no scheduler "odd"; Automatic was used.'],
    ]);
  });

  it('what A1111 knows resolves as there', async () => {
    const known = new Set(aliases.samplers.map(({ name }) => name));
    // "SGM Uniform" at the end makes A1111 fall back; here it is the schedule that it names.
    const cases = aliases.sampler_and_scheduler.filter(
      ({ sampler, result }) =>
        sampler?.startsWith(result[0] ?? '') &&
        known.has(result[0] ?? '') &&
        !sampler.endsWith(' SGM Uniform'),
    );
    expect(cases.length).toBeGreaterThan(100);
    for (const { sampler, scheduler, result } of cases) {
      const [name, label] = await chosen({ sampler_name: sampler, scheduler });
      expect([name, label], `${sampler} / ${scheduler}`).toEqual(result);
    }
  });
});
