import { interruptGeneration, skipPicture, startGeneration } from '../actions.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

/** Generate, and beside it what stops a running job. */
export function GenerateBar() {
  const app = useApp();
  const { state } = app;
  const job = state.job.value;
  return (
    <div class="generate-bar">
      <button
        type="button"
        class="primary"
        aria-disabled={job ? 'true' : undefined}
        aria-keyshortcuts="Control+Enter"
        onClick={() => void startGeneration(app)}
      >
        {t.create.generate}
      </button>
      {job && (
        <>
          <button type="button" onClick={() => interruptGeneration(app)}>
            {job.isStopping ? t.create.interruptAgain : t.create.interrupt}
          </button>
          <button type="button" disabled={job.isStopping} onClick={() => skipPicture(app)}>
            {t.create.skip}
          </button>
        </>
      )}
    </div>
  );
}
