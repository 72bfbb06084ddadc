import { expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { CONDITIONS, lcmErrors, lcmFolder } from './lib/lcm.ts';
import { runComponent } from './lib/runtime.ts';

it('the guidance embedding of an LCM UNet is added to the sinusoids of the timestep', async () => {
  const { description } = await openCheckpoint(await lcmFolder());
  expect(description.unetInputs).toEqual({
    textEmbeds: null,
    timeIds: null,
    timestepCond: CONDITIONS,
  });
  for (const error of await lcmErrors(runComponent)) expect(error).toBeLessThanOrEqual(1);
});
