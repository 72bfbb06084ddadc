import {
  SAMPLERS,
  type SamplerName,
  SCHEDULERS,
  type SchedulerName,
  samplerInfo,
} from '../../protocol/samplers.ts';

/** What a request's sampler and scheduler names come to, with a sentence for each substitution. */
export interface SamplerChoice {
  readonly sampler: SamplerName;
  readonly scheduler: SchedulerName;
  readonly notes: readonly string[];
}

/** Names that SHARK, diffusers and clients with odd spellings use; compared in lower case. */
const FOREIGN_SAMPLERS: Readonly<Record<string, SamplerName>> = {
  huen: 'Heun',
  sharkeulerdiscrete: 'Euler',
  eulerdiscrete: 'Euler',
  sharkeulerancestraldiscrete: 'Euler a',
  eulerancestraldiscrete: 'Euler a',
  'euler-ancestral': 'Euler a',
  'euler ancestral': 'Euler a',
  euler_a: 'Euler a',
  pndm: 'PLMS',
  lmsdiscrete: 'LMS',
  heundiscrete: 'Heun',
  kdpm2discrete: 'DPM2',
  kdpm2ancestraldiscrete: 'DPM2 a',
  'dpmsolvermultistep++': 'DPM++ 2M',
  dpmsolvermultistep: 'DPM++ 2M',
  dpm: 'DPM++ 2M',
  lcmscheduler: 'LCM',
};

const FOREIGN_WITH_SCHEDULER: Readonly<Record<string, readonly [SamplerName, SchedulerName]>> = {
  'dpmsolvermultistepkarras++': ['DPM++ 2M', 'karras'],
  dpmsolvermultistepkarras: ['DPM++ 2M', 'karras'],
};

function findSampler(text: string): SamplerName | null {
  const lower = text.trim().toLowerCase();
  const found =
    SAMPLERS.find((entry) => entry.name === text) ??
    SAMPLERS.find((entry) => entry.name.toLowerCase() === lower) ??
    SAMPLERS.find((entry) => entry.aliases.includes(lower));
  return found?.name ?? FOREIGN_SAMPLERS[lower] ?? null;
}

function findScheduler(text: string): SchedulerName | null {
  const lower = text.trim().toLowerCase();
  const names = (entry: (typeof SCHEDULERS)[number]) =>
    [entry.name, entry.label, ...(entry.aliases ?? [])].map((name) => name.toLowerCase());
  return SCHEDULERS.find((entry) => names(entry).includes(lower))?.name ?? null;
}

/** Splits `DPM++ 2M Karras` into the sampler and its schedule; the longest schedule name wins. */
function splitSchedule(text: string): readonly [string, SchedulerName | null] {
  const endings = SCHEDULERS.flatMap((entry) =>
    [entry.label, entry.name, ...(entry.aliases ?? [])].map((name) => [name, entry.name] as const),
  ).sort(([a], [b]) => b.length - a.length);
  const lower = text.toLowerCase();
  for (const [ending, scheduler] of endings) {
    if (!lower.endsWith(` ${ending.toLowerCase()}`)) continue;
    return [text.slice(0, -ending.length - 1), scheduler];
  }
  return [text, null];
}

/** `text` for use inside a sentence. */
function quoted(text: string): string {
  return `"${text.slice(0, 60)}"`;
}

/**
 * Resolves names as A1111 does (a schedule at the end of the sampler's name wins over the `scheduler` field) and
 * where A1111 would fall back in silence tries lower case, aliases and foreign names first. What is left falls back
 * to DPM++ 2M, and says so.
 */
export function chooseSampler(samplerText: string, schedulerText: string | null): SamplerChoice {
  const notes: string[] = [];
  const foreign = FOREIGN_WITH_SCHEDULER[samplerText.trim().toLowerCase()];
  const whole = foreign?.[0] ?? findSampler(samplerText);
  const [stem, suffix] = whole ? [samplerText, foreign?.[1] ?? null] : splitSchedule(samplerText);
  let sampler = whole ?? findSampler(stem);
  if (!sampler) {
    sampler = 'DPM++ 2M';
    notes.push(`There is no sampler ${quoted(stem)}; ${sampler} was used.`);
  }
  let scheduler = suffix;
  if (!scheduler && schedulerText !== null) {
    scheduler = findScheduler(schedulerText);
    if (!scheduler)
      notes.push(`There is no scheduler ${quoted(schedulerText)}; Automatic was used.`);
  }
  const isDefault = scheduler === samplerInfo(sampler).defaultScheduler;
  return { sampler, scheduler: scheduler && !isDefault ? scheduler : 'automatic', notes };
}
