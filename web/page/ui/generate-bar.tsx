import { interruptGeneration, skipPicture } from '../actions.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

interface GenerateBarProps {
  readonly onGenerate: () => void;
  readonly isDisabled?: boolean;
}

/** Generate, and beside it what stops a running job. */
export function GenerateBar({ onGenerate, isDisabled = false }: GenerateBarProps) {
  const app = useApp();
  const { state } = app;
  const job = state.job.value;
  return (
    <div class="generate-bar">
      <button
        type="button"
        class="primary"
        disabled={isDisabled}
        aria-disabled={job ? 'true' : undefined}
        aria-keyshortcuts="Control+Enter"
        onClick={onGenerate}
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
