import { useId } from 'preact/hooks';
import { fieldLabel } from '../field-label.ts';
import type { FieldName, FormValues } from '../form.ts';
import { setFields } from '../state.ts';
import { useApp } from './context.ts';
import { problemText } from './number-field.tsx';

interface SelectFieldProps<Name extends FieldName> {
  readonly name: Name;
  readonly options: ReadonlyArray<{ readonly value: FormValues[Name]; readonly label: string }>;
}

/** A choice of the form with its label. */
export function SelectField<Name extends FieldName>({ name, options }: SelectFieldProps<Name>) {
  const { state } = useApp();
  const id = useId();
  const problem = state.fieldProblems.value[name];
  return (
    <div class="field">
      <label for={id}>{fieldLabel(name)}</label>
      <select
        id={id}
        value={state.form[name].value}
        aria-invalid={problem ? 'true' : undefined}
        aria-describedby={problem ? `${id}-problem` : undefined}
        onChange={(event) => setFields(state, { [name]: event.currentTarget.value })}
      >
        {options.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
      {problem && (
        <p class="field-problem" id={`${id}-problem`}>
          {problemText(problem)}
        </p>
      )}
    </div>
  );
}
