import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { CheckField } from './check-field.tsx';
import { useApp } from './context.ts';
import { ModelChoice } from './model-choice.tsx';
import { SliderField } from './slider-field.tsx';

/** Another checkpoint for the last steps; only where there is another. */
export function RefinerFields() {
  const { state } = useApp();
  const { refiner, refinerCheckpoint, checkpoint } = state.form;
  const isOn = refiner.value === 'on';
  const names = state.catalog.value.checkpoints.map(({ name }) => name);
  if (names.length < 2 && !isOn) return null;
  /** The first one that is not at work already. */
  const chooseOther = () => {
    if (refinerCheckpoint.value !== '') return;
    const first = checkpoint.value || state.status.value.checkpoint;
    const other = names.find((name) => name !== first);
    if (other) setFields(state, { refinerCheckpoint: other });
  };
  return (
    <fieldset class="switched">
      <CheckField name="refiner" label={t.create.refiner} onSwitchedOn={chooseOther} />
      {isOn && (
        <div class="field-grid">
          <ModelChoice name="refinerCheckpoint" names={names} />
          <SliderField name="refinerSwitchAt" step={0.05} />
        </div>
      )}
    </fieldset>
  );
}
