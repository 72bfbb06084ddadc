import { engineProgressView, jobProgressView } from '../progress-text.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

/** The one progress bar of the page: this page's job, else what the engine does of itself. */
export function ProgressPanel() {
  const { state } = useApp();
  const job = state.job.value;
  const ownView = job ? jobProgressView(state.progress.value) : null;
  // While a job waits for its checkpoint, the engine's own activity says more.
  const activity = state.status.value.activity;
  const isPreparing = ownView && activity && state.progress.value?.stage !== 'sampling';
  const view = isPreparing || !ownView ? engineProgressView(state.status.value) : ownView;
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
