import { useId } from 'preact/hooks';
import { fieldLabel } from '../field-label.ts';
import { NUMBER_RULES, type NumberField as NumberName } from '../form.ts';
import { setFields } from '../state.ts';
import { useApp } from './context.ts';
import { problemText } from './number-field.tsx';

/** A number of the form between two ends, with its label and its value. */
export function SliderField({ name, step }: { name: NumberName; step: number }) {
  const { state } = useApp();
  const id = useId();
  const value = state.form[name].value;
  const problem = state.fieldProblems.value[name];
  const { min, max } = NUMBER_RULES[name];
  return (
    <div class="field">
      <div class="label-line">
        <label for={id}>{fieldLabel(name)}</label>
        <output for={id} class="slider-value">
          {value}
        </output>
      </div>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        aria-describedby={problem ? `${id}-problem` : undefined}
        onInput={(event) => setFields(state, { [name]: event.currentTarget.value })}
      />
      {problem && (
        <p class="field-problem" id={`${id}-problem`}>
          {problemText(problem)}
        </p>
      )}
    </div>
  );
}
