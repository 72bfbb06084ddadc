import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { SCHEDULERS, type SchedulerName } from '../../../protocol/samplers.ts';

/** One file of A1111's own numbers (test/fixtures/vectors/README.md says what each holds). */
export function readVectors<T>(name: string): T {
  const url = new URL(`../../fixtures/vectors/${name}.json`, import.meta.url);
  // Integers that a double cannot hold come as text.
  const text = readFileSync(url, 'utf8').replace(/(?<=": ?)\d{17,}(?=[,}\s])/g, '"$&"');
  return JSON.parse(text) as T;
}

export type VectorNumber = number | 'NaN' | 'Infinity' | '-Infinity';

/** Fails with the first value that is off by more than `tolerance` times (1 + abs), or `tolerance` alone. */
export function expectClose(
  got: ArrayLike<number>,
  want: readonly VectorNumber[],
  tolerance: number,
  { what = '', isAbsolute = false }: { what?: string; isAbsolute?: boolean } = {},
): void {
  expect(got.length, `${what} length`).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const [a, b] = [got[i]!, Number(want[i])];
    if (Object.is(a, b) || a === b) continue;
    const allowed = tolerance * (isAbsolute ? 1 : 1 + Math.abs(b));
    if (!(Math.abs(a - b) <= allowed)) {
      expect.fail(`${what} [${i}]: ${a} is not within ${allowed} of ${b}`);
    }
  }
}

/** A scheduler's name from the label that the vectors use. */
export function schedulerByLabel(label: string): SchedulerName {
  const found = SCHEDULERS.find((entry) => entry.label === label);
  if (!found) throw new Error(`no scheduler labelled ${label}`);
  return found.name;
}
