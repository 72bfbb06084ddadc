import { useId } from 'preact/hooks';
import {
  SAMPLER_NAMES,
  type SamplerName,
  SCHEDULERS,
  type SchedulerName,
} from '../../../protocol/samplers.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { NumberField } from './number-field.tsx';

/** Sampler, schedule, steps and CFG scale. */
export function SamplingFields() {
  const { state } = useApp();
  const samplerId = useId();
  const schedulerId = useId();
  return (
    <div class="field-grid">
      <div class="field">
        <label for={samplerId}>{t.fields.sampler}</label>
        <select
          id={samplerId}
          value={state.form.sampler.value}
          onChange={(event) =>
            setFields(state, { sampler: event.currentTarget.value as SamplerName })
          }
        >
          {SAMPLER_NAMES.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </div>
      <div class="field">
        <label for={schedulerId}>{t.fields.scheduler}</label>
        <select
          id={schedulerId}
          value={state.form.scheduler.value}
          onChange={(event) =>
            setFields(state, { scheduler: event.currentTarget.value as SchedulerName })
          }
        >
          {SCHEDULERS.map(({ name, label }) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      </div>
      <NumberField name="steps" />
      <NumberField name="guidanceScale" step={0.5} />
    </div>
  );
}
