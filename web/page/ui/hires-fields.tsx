import { useId } from 'preact/hooks';
import { LATENT_UPSCALE_MODES } from '../../../protocol/generation.ts';
import { SAMPLER_NAMES, SCHEDULERS } from '../../../protocol/samplers.ts';
import { hiresSize } from '../form.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { CheckField } from './check-field.tsx';
import { useApp } from './context.ts';
import { NumberField } from './number-field.tsx';
import { SelectField } from './select-field.tsx';

/** Upscalers that need no file. */
const PLAIN_UPSCALERS = ['Lanczos', 'Nearest', 'None'];

function HiresPrompt({ name }: { name: 'hiresPrompt' | 'hiresNegativePrompt' }) {
  const { state } = useApp();
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{t.fields[name]}</label>
      <textarea
        id={id}
        class="prompt"
        rows={2}
        spellcheck={false}
        placeholder={t.create.hiresSame}
        value={state.form[name].value}
        onInput={(event) => setFields(state, { [name]: event.currentTarget.value })}
      />
    </div>
  );
}

/** The second pass over the enlarged picture; what it does not say is the first pass's. */
export function HiresFields() {
  const { state } = useApp();
  const values = state.formValues.value;
  const isOn = values.hires === 'on';
  const size = isOn ? hiresSize(values) : null;
  const networks = (state.catalog.value.models ?? []).filter(({ kind }) => kind === 'esrgan');
  const upscalers = [
    ...LATENT_UPSCALE_MODES,
    ...PLAIN_UPSCALERS,
    ...networks.map(({ name }) => name),
  ];
  const same = { value: '' as const, label: t.create.hiresSame };
  return (
    <fieldset class="switched">
      <CheckField name="hires" label={t.create.hires}>
        {size && <span class="quiet">{t.create.hiresSize(size.width, size.height)}</span>}
      </CheckField>
      {isOn && (
        <>
          <div class="field-grid">
            <SelectField
              name="hiresUpscaler"
              options={upscalers.map((value) => ({ value, label: value }))}
            />
            <NumberField name="hiresScale" step={0.25} />
            <NumberField name="hiresSteps" />
            <NumberField name="hiresDenoising" step={0.05} />
            <SelectField
              name="hiresSampler"
              options={[same, ...SAMPLER_NAMES.map((value) => ({ value, label: value }))]}
            />
            <SelectField
              name="hiresScheduler"
              options={[same, ...SCHEDULERS.map(({ name: value, label }) => ({ value, label }))]}
            />
          </div>
          <HiresPrompt name="hiresPrompt" />
          <HiresPrompt name="hiresNegativePrompt" />
        </>
      )}
    </fieldset>
  );
}
