import { EMBEDDED_CHECKPOINT } from '../../../protocol/catalog.ts';
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
  /** Where there is only one that can be meant, it is. */
  const chooseOther = () => {
    const first = checkpoint.value || state.status.value.checkpoint;
    const others = names.filter((name) => name !== first && name !== EMBEDDED_CHECKPOINT);
    const [only] = others;
    if (refinerCheckpoint.value !== '' || !only || others.length > 1) return;
    setFields(state, { refinerCheckpoint: only });
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
