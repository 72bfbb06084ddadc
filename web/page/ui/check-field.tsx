import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import type { FieldName, FormValues } from '../form.ts';
import { setFields } from '../state.ts';
import { useApp } from './context.ts';

/** Fields that are off or on. */
export type SwitchName = {
  [Name in FieldName]: 'off' | 'on' extends FormValues[Name]
    ? FormValues[Name] extends 'off' | 'on'
      ? Name
      : never
    : never;
}[FieldName];

interface CheckFieldProps {
  readonly name: SwitchName;
  readonly label: string;
  /** Called once it is switched on. */
  readonly onSwitchedOn?: () => void;
  /** What stands beside it. */
  readonly children?: ComponentChildren;
}

/** A switch of the form with its label. */
export function CheckField({ name, label, onSwitchedOn, children }: CheckFieldProps) {
  const { state } = useApp();
  const id = useId();
  return (
    <div class="check">
      <input
        id={id}
        type="checkbox"
        checked={state.form[name].value === 'on'}
        onChange={(event) => {
          const isOn = event.currentTarget.checked;
          setFields(state, { [name]: isOn ? 'on' : 'off' });
          if (isOn) onSwitchedOn?.();
        }}
      />
      <label for={id}>{label}</label>
      {children}
    </div>
  );
}
