import { expect, test } from 'vitest';
import { promptSteps } from '../../web/engine/job-plan.ts';

test('prompts are laid over twice the steps of second order samplers, once where old pictures are to be repeated', () => {
  const steps = (sampler: 'Heun' | 'Euler', countsSecondOrderOnce: boolean) =>
    promptSteps({ steps: 10, sampler, countsSecondOrderOnce });
  expect(steps('Heun', false)).toEqual({ steps: 10, isSecondOrder: true });
  expect(steps('Heun', true)).toEqual({ steps: 10, isSecondOrder: false });
  expect(steps('Euler', false)).toEqual({ steps: 10, isSecondOrder: false });
});
