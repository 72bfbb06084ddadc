import { SAMPLER_NAMES, SCHEDULERS } from '../../../protocol/samplers.ts';
import { NumberField } from './number-field.tsx';
import { SelectField } from './select-field.tsx';

/** Sampler, schedule, steps and CFG scale. */
export function SamplingFields() {
  return (
    <div class="field-grid">
      <SelectField
        name="sampler"
        options={SAMPLER_NAMES.map((value) => ({ value, label: value }))}
      />
      <SelectField
        name="scheduler"
        options={SCHEDULERS.map(({ name: value, label }) => ({ value, label }))}
      />
      <NumberField name="steps" />
      <NumberField name="guidanceScale" step={0.5} />
    </div>
  );
}
