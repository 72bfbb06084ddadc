import {
  apiJobView,
  engineProgressView,
  jobProgressView,
  type ProgressView,
} from '../progress-text.ts';
import type { AppState } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

/** This page's job; while it waits for its checkpoint, the engine's own activity says more. */
function ownView({ progress, status }: AppState): ProgressView {
  const isPreparing = status.value.activity && progress.value?.stage !== 'sampling';
  const activity = isPreparing ? engineProgressView(status.value) : null;
  return activity ?? jobProgressView(progress.value);
}

function otherView({ apiJobs, status, isRemote }: AppState): ProgressView | null {
  const apiJob = apiJobs.current.value;
  if (apiJob?.progress) return apiJobView(apiJob);
  // What is known of another machine's engine may be seconds old: too late to say that it works.
  const { activity, state } = status.value;
  if (isRemote.value && state === 'busy' && !activity) return null;
  return engineProgressView(status.value);
}

/** The one progress bar of the page: this page's job, else what the engine does of itself. */
export function ProgressPanel() {
  const { state } = useApp();
  const job = state.job.value;
  const view = job ? ownView(state) : otherView(state);
  return (
    <div class="progress-panel" aria-live="off">
      {view && (
        <>
          <div class="progress-text">
            <span>{job?.isStopping ? t.progress.stopping : view.title}</span>
            <span class="quiet">{view.detail}</span>
          </div>
          <progress
            aria-label={t.progress.label}
            max={100}
            {...(view.percent === null ? {} : { value: view.percent })}
          />
        </>
      )}
    </div>
  );
}
