import { useId } from 'preact/hooks';
import type { FieldName, FormValues } from '../form.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

interface SelectFieldProps<Name extends FieldName> {
  readonly name: Name;
  readonly options: ReadonlyArray<{ readonly value: FormValues[Name]; readonly label: string }>;
}

/** A choice of the form with its label. */
export function SelectField<Name extends FieldName>({ name, options }: SelectFieldProps<Name>) {
  const { state } = useApp();
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{t.fields[name]}</label>
      <select
        id={id}
        value={state.form[name].value}
        onChange={(event) => setFields(state, { [name]: event.currentTarget.value })}
      >
        {options.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}
