import type { EngineStatus } from '../../protocol/device.ts';
import type { GenerationProgress } from '../shared/engine.ts';
import type { ApiJob } from './api-jobs.ts';
import { formatDuration } from './format.ts';
import { t } from './strings/strings.ts';

/** What the progress panel shows: one bar, one line, one line of detail. */
export interface ProgressView {
  /** 0 to 100; null while nothing is known yet. */
  readonly percent: number | null;
  readonly title: string;
  readonly detail: string;
}

/** A fraction as whole percent; never 100 before the end. */
function percentOf(fraction: number): number {
  return Math.min(99, Math.max(0, Math.floor(fraction * 100)));
}

function left(etaSeconds: number | null): string[] {
  return etaSeconds === null ? [] : [t.progress.left(formatDuration(etaSeconds))];
}

/** The running job's line: step and time left while sampling, else the stage in words. */
export function jobProgressView(progress: GenerationProgress | null): ProgressView {
  if (!progress) return { percent: null, title: t.progress.starting, detail: '' };
  const isSampling = progress.stage === 'sampling' && progress.steps > 0;
  const picture =
    progress.imageCount > 1
      ? [t.progress.picture(progress.imageIndex + 1, progress.imageCount)]
      : [];
  return {
    percent: percentOf(progress.fraction),
    title: isSampling
      ? t.progress.step(progress.step, progress.steps)
      : t.progress.stages[progress.stage],
    detail: [...picture, ...left(progress.etaSeconds)].join(' · '),
  };
}

/** Another program's job: its name, then how far it is. */
export function apiJobView({ client, progress }: ApiJob): ProgressView {
  const view = jobProgressView(progress);
  return { ...view, title: t.progress.forClient(client, view.title) };
}

/** What the engine does of itself (loading, compiling, an API client's job); null when it rests. */
export function engineProgressView(status: EngineStatus): ProgressView | null {
  const { activity } = status;
  if (activity) {
    return {
      percent: percentOf(activity.done),
      title: t.progress.activity[activity.kind](activity.what),
      detail: left(activity.etaSeconds).join(''),
    };
  }
  if (status.state === 'busy') return { percent: null, title: t.progress.apiJob, detail: '' };
  return null;
}
