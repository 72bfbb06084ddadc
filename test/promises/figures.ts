import { appendFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** `npm run promises` asks for the long form: more of the same, in bounded time. */
export const IS_LONG = process.env.EASEL_PROMISES === 'long';

/** A number of the short form, or of the long one; `EASEL_PROMISES_<NAME>` overrides both. */
export function amount(name: string, short: number, long: number): number {
  const asked = Number(process.env[`EASEL_PROMISES_${name}`]);
  return asked > 0 ? asked : IS_LONG ? long : short;
}

/** Seed of everything random in a run, so that a failure can be had again. */
export const SEED = amount('SEED', 20_261_124, 20_261_124);

/** Small, fast, good enough to spread faults (mulberry32, public domain). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Says what was measured: printed, and kept for `npm run promises` where it collects. */
export function measured(id: string, figures: Record<string, number | string>): void {
  const line = JSON.stringify({ id, ...figures });
  console.info(line);
  const file = process.env.EASEL_PROMISES_FILE;
  if (file) appendFileSync(file, `${line}\n`);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1);
  return Math.round((sorted[Math.max(0, place)] ?? 0) * 10) / 10;
}

/** Every picture below a folder, as paths. */
export function picturesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.png'))
    .map(({ parentPath, name }) => join(parentPath, name));
}
