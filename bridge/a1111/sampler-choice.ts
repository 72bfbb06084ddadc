import { resolveSamplerAndScheduler } from '../../protocol/sampler-names.ts';
import { type SamplerName, type SchedulerName, schedulerLabel } from '../../protocol/samplers.ts';

/** What a request's sampler and scheduler names come to, with a sentence for each substitution. */
export interface SamplerChoice {
  readonly sampler: SamplerName;
  readonly scheduler: SchedulerName;
  readonly notes: readonly string[];
}

/** A1111's name for what SHARK, diffusers and clients with odd spellings write; keys in lower case. */
const FOREIGN_NAMES: ReadonlyMap<string, string> = new Map([
  ['huen', 'Heun'],
  ['euler_a', 'Euler a'],
  ['euler-ancestral', 'Euler a'],
  ['euler ancestral', 'Euler a'],
  ['sharkeulerdiscrete', 'Euler'],
  ['eulerdiscrete', 'Euler'],
  ['sharkeulerancestraldiscrete', 'Euler a'],
  ['eulerancestraldiscrete', 'Euler a'],
  ['pndm', 'PLMS'],
  ['lmsdiscrete', 'LMS'],
  ['heundiscrete', 'Heun'],
  ['kdpm2discrete', 'DPM2'],
  ['kdpm2ancestraldiscrete', 'DPM2 a'],
  ['dpm', 'DPM++ 2M'],
  ['dpmsolvermultistep', 'DPM++ 2M'],
  ['dpmsolvermultistep++', 'DPM++ 2M'],
  ['dpmsolvermultistepkarras', 'DPM++ 2M Karras'],
  ['dpmsolvermultistepkarras++', 'DPM++ 2M Karras'],
  ['lcmscheduler', 'LCM'],
]);

/** A name from outside inside a sentence. */
function quoted(text: string): string {
  return `"${text.slice(0, 60)}"`;
}

/**
 * Resolves a request's names: foreign ones first, then as A1111 does and more leniently. What is left falls back, and
 * unlike in A1111 the reply says so.
 */
export function chooseSampler(samplerText: string, schedulerText: string | null): SamplerChoice {
  const known = FOREIGN_NAMES.get(samplerText.trim().toLowerCase()) ?? samplerText;
  const resolved = resolveSamplerAndScheduler(known, schedulerText);
  const { sampler, scheduler, isSamplerSubstituted, isSchedulerSubstituted } = resolved;
  const notes: string[] = [];
  if (isSamplerSubstituted) {
    notes.push(`There is no sampler ${quoted(samplerText)}; ${sampler} was used.`);
  }
  if (isSchedulerSubstituted && schedulerText !== null) {
    const label = schedulerLabel(scheduler);
    notes.push(`There is no scheduler ${quoted(schedulerText)}; ${label} was used.`);
  }
  return { sampler, scheduler, notes };
}
