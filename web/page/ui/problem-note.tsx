import type { Signal } from '@preact/signals';
import type { Problem } from '../state.ts';
import { t } from '../strings/strings.ts';
import { CloseIcon } from './icons.tsx';

/** A failure where it happened: what happened, what to do, and that nothing is lost. */
export function ProblemNote({ problem }: { problem: Signal<Problem | null> }) {
  const value = problem.value;
  if (!value) return null;
  return (
    <div class="problem" role="alert">
      <div>
        <p class="problem-title">{t.problems.title}</p>
        <p>{value.message}</p>
        <p class="problem-fix">
          {t.problems.fix[value.code]} {t.problems.kept}
        </p>
      </div>
      <button
        type="button"
        class="icon-button"
        title={t.problems.dismiss}
        onClick={() => {
          problem.value = null;
        }}
      >
        <CloseIcon />
        <span class="visually-hidden">{t.problems.dismiss}</span>
      </button>
    </div>
  );
}
