import type { FieldName, FormValues } from '../form.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { SelectField } from './select-field.tsx';

/** Fields that hold any text. */
type TextName = {
  [Name in FieldName]: string extends FormValues[Name] ? Name : never;
}[FieldName];

interface ModelChoiceProps {
  readonly name: TextName;
  readonly names: readonly string[];
  /** What stands for no name; without it a name has to be chosen. */
  readonly others?: ReadonlyArray<{ readonly value: string; readonly label: string }>;
}

/** A choice among models; one that is not in the catalogue (yet) stays chosen. */
export function ModelChoice({ name, names, others = [] }: ModelChoiceProps) {
  const { state } = useApp();
  const chosen = state.form[name].value;
  const known = [...others, ...names.map((value) => ({ value, label: value }))];
  const isKnown = known.some(({ value }) => value === chosen);
  const missing = { value: chosen, label: chosen === '' ? t.create.chooseOne : chosen };
  return <SelectField name={name} options={isKnown ? known : [missing, ...known]} />;
}
