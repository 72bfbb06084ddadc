/**
 * From the names that people, clients and old infotexts write to samplers and schedulers. The strict rule is A1111
 * v1.10.1's own, which falls back in silence; the lenient one tries harder first. Both say when they fell back.
 */
import {
  SAMPLERS,
  type SamplerName,
  SCHEDULERS,
  type SchedulerInfo,
  type SchedulerName,
  samplerInfo,
  schedulerLabel,
} from './samplers.ts';

/** What A1111 runs where it does not know a sampler: the first of its list. */
const FALLBACK_SAMPLER: SamplerName = 'DPM++ 2M';

export interface ResolvedSampler {
  readonly sampler: SamplerName;
  readonly scheduler: SchedulerName;
  /** A sampler was named that does not exist, and the fallback stands in for it. */
  readonly isSamplerSubstituted: boolean;
  /** A scheduler was named that does not exist, and Automatic stands in for it. */
  readonly isSchedulerSubstituted: boolean;
}

export interface ResolveOptions {
  /** A1111's rule alone: exact names, no aliases, no other case. */
  readonly isStrict?: boolean;
  /**
   * Keeps a schedule that is the sampler's own default by its name. Otherwise it becomes `automatic`, as A1111 does
   * with API requests and pasted infotexts (but not with the job it runs).
   */
  readonly keepsDefaultApart?: boolean;
}

/** A sampler by exact name, by name in any case, or by alias (`k_euler_a`); null where there is none. */
export function findSampler(text: string): SamplerName | null {
  const exact = SAMPLERS.find((entry) => entry.name === text);
  if (exact) return exact.name;
  const lower = text.trim().toLowerCase();
  const loose = SAMPLERS.find(
    (entry) => entry.name.toLowerCase() === lower || entry.aliases.includes(lower),
  );
  return loose?.name ?? null;
}

/** A scheduler by name, label or alias, in any case; null where there is none. */
export function findScheduler(text: string): SchedulerName | null {
  const lower = text.trim().toLowerCase();
  const found = SCHEDULERS.find((entry) =>
    spellings(entry).some((name) => name.toLowerCase() === lower),
  );
  return found?.name ?? null;
}

function spellings(entry: SchedulerInfo): readonly string[] {
  return [entry.label, entry.name, ...(entry.aliases ?? [])];
}

/**
 * Resolves a sampler's and a scheduler's name. A schedule at the end of the sampler's name ("DPM++ 2M Karras")
 * wins over the scheduler's own field, as in A1111. Empty and absent names are no substitution.
 */
export function resolveSamplerAndScheduler(
  samplerText: string | null | undefined,
  schedulerText: string | null | undefined,
  { isStrict = false, keepsDefaultApart = false }: ResolveOptions = {},
): ResolvedSampler {
  const strict = resolveStrictly(samplerText, schedulerText);
  const isFound = !strict.isSamplerSubstituted && !strict.isSchedulerSubstituted;
  const resolved =
    isStrict || isFound ? strict : resolveLeniently(samplerText, schedulerText, strict);
  const isDefault = samplerInfo(resolved.sampler).defaultScheduler === resolved.scheduler;
  return isDefault && !keepsDefaultApart ? { ...resolved, scheduler: 'automatic' } : resolved;
}

/** A1111's rule: every schedule, in its order, is cut off the end once; what is left must be a sampler's exact name. */
function resolveStrictly(
  samplerText: string | null | undefined,
  schedulerText: string | null | undefined,
): ResolvedSampler {
  const given = SCHEDULERS.find(
    (entry) => entry.name === schedulerText || entry.label === schedulerText,
  );
  let name: string = samplerText || FALLBACK_SAMPLER;
  let suffix: SchedulerName | null = null;
  for (const entry of SCHEDULERS) {
    const ending = spellings(entry).find((spelling) => name.endsWith(` ${spelling}`));
    if (ending === undefined) continue;
    suffix = entry.name;
    name = name.slice(0, -ending.length - 1);
  }
  const sampler = SAMPLERS.find((entry) => entry.name === name)?.name;
  return {
    sampler: sampler ?? FALLBACK_SAMPLER,
    scheduler: suffix ?? given?.name ?? 'automatic',
    isSamplerSubstituted: sampler === undefined,
    isSchedulerSubstituted: suffix === null && Boolean(schedulerText) && !given,
  };
}

/** Where the strict rule falls back: any case, aliases, and the longest schedule name at the end. */
function resolveLeniently(
  samplerText: string | null | undefined,
  schedulerText: string | null | undefined,
  strict: ResolvedSampler,
): ResolvedSampler {
  const text = samplerText?.trim() ?? '';
  const whole = strict.isSamplerSubstituted ? findSampler(text) : strict.sampler;
  const split = whole === null ? splitScheduler(text) : null;
  const sampler = whole ?? (split && findSampler(split.stem));
  const own = schedulerText ? findScheduler(schedulerText) : null;
  // A sampler that stays unknown keeps the schedule that the strict rule read off its name.
  const read = sampler === null ? strict.scheduler : null;
  return {
    sampler: sampler ?? FALLBACK_SAMPLER,
    scheduler: split?.scheduler ?? own ?? read ?? 'automatic',
    isSamplerSubstituted: sampler === null,
    isSchedulerSubstituted: Boolean(schedulerText) && !own && !split,
  };
}

function splitScheduler(text: string): { stem: string; scheduler: SchedulerName } | null {
  const lower = text.toLowerCase();
  const endings = SCHEDULERS.flatMap((entry) =>
    spellings(entry).map((spelling) => ({ spelling, scheduler: entry.name })),
  ).sort((a, b) => b.spelling.length - a.spelling.length);
  const found = endings.find(({ spelling }) => lower.endsWith(` ${spelling.toLowerCase()}`));
  if (!found) return null;
  return { stem: text.slice(0, -found.spelling.length - 1), scheduler: found.scheduler };
}

/** What hires fix is told to leave as the first pass has it. */
export const SAME_SAMPLER = 'Use same sampler';
export const SAME_SCHEDULER = 'Use same scheduler';

/**
 * The second pass's sampler and scheduler label that a pasted infotext stands for, or that they stay the same
 * (A1111's `get_hr_sampler_and_scheduler`).
 */
export function hiresChoice(
  infotext: Readonly<Record<string, unknown>>,
): readonly [sampler: string, scheduler: string] {
  const text = (key: string) => {
    const value = infotext[key];
    return typeof value === 'string' ? value : null;
  };
  const hiresSampler = text('Hires sampler') ?? SAME_SAMPLER;
  const hiresScheduler = text('Hires schedule type') ?? SAME_SCHEDULER;
  const resolved = resolveSamplerAndScheduler(
    hiresSampler === SAME_SAMPLER ? text('Sampler') : hiresSampler,
    hiresScheduler === SAME_SCHEDULER ? text('Schedule type') : hiresScheduler,
    { isStrict: true },
  );
  const label = schedulerLabel(resolved.scheduler);
  return [
    resolved.sampler === text('Sampler') ? SAME_SAMPLER : resolved.sampler,
    label === text('Schedule type') ? SAME_SCHEDULER : label,
  ];
}
