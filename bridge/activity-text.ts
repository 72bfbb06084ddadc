import type { EngineActivity } from '../protocol/device.ts';

/** `, 12 s left` or `, 3 min left`; nothing while it is not known. */
export function timeLeft(seconds: number | null): string {
  if (seconds === null) return '';
  const rounded = Math.max(1, Math.round(seconds));
  return rounded < 90 ? `, ${rounded} s left` : `, ${Math.round(rounded / 60)} min left`;
}

/** A long piece of work in words: `Compiling unet of dreamshaper, 42 %, 12 s left`. */
export function activitySentence({ kind, what, done, etaSeconds }: EngineActivity): string {
  const verb = { compile: 'Compiling', download: 'Downloading', load: 'Loading' }[kind];
  return `${verb} ${what}, ${Math.round(done * 100)} %${timeLeft(etaSeconds)}`;
}
