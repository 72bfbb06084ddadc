import { useId } from 'preact/hooks';
import { chooseCheckpoint } from '../actions.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { ProblemNote } from './problem-note.tsx';

/** Which checkpoint makes the picture. A choice that is not in the catalogue (yet) stays chosen. */
export function CheckpointField() {
  const app = useApp();
  const { state } = app;
  const id = useId();
  const chosen = state.form.checkpoint.value;
  const names = state.catalog.value.checkpoints.map((checkpoint) => checkpoint.name);
  const inUse = state.status.value.checkpoint;
  return (
    <div class="field">
      <label for={id}>{t.fields.checkpoint}</label>
      <select
        id={id}
        value={chosen}
        onChange={(event) => void chooseCheckpoint(app, event.currentTarget.value)}
      >
        <option value="">{inUse ? t.create.inUse(inUse) : t.create.inUseNone}</option>
        {chosen !== '' && !names.includes(chosen) && <option value={chosen}>{chosen}</option>}
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
      <ProblemNote problem={state.checkpointProblem} />
    </div>
  );
}
