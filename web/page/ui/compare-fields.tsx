import { useId } from 'preact/hooks';
import { AXIS_NAMES } from '../compare-axes.ts';
import { COMPARISONS, MAX_AXIS_CHARACTERS } from '../form.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { Folded } from './folded.tsx';
import { SelectField } from './select-field.tsx';

/** One axis: what changes along it, and to which values. */
function AxisRow({ name }: { name: 'axisX' | 'axisY' | 'axisZ' }) {
  const { state } = useApp();
  const id = useId();
  const values = `${name}Values` as const;
  const chosen = state.form[name].value;
  return (
    <>
      <SelectField name={name} options={AXIS_NAMES.map((value) => ({ value, label: value }))} />
      <div class="field">
        <label for={id}>{t.fields[values]}</label>
        <input
          id={id}
          type="text"
          autocomplete="off"
          spellcheck={false}
          maxLength={MAX_AXIS_CHARACTERS}
          disabled={chosen === 'Nothing'}
          placeholder={t.compare.examples[chosen]}
          value={state.form[values].value}
          onInput={(event) => setFields(state, { [values]: event.currentTarget.value })}
        />
      </div>
    </>
  );
}

/** Several pictures side by side in one grid. */
export function CompareFields() {
  const mode = useApp().state.form.compare.value;
  const isOn = mode !== 'off';
  return (
    <Folded title={t.compare.title(isOn ? t.compare.modes[mode] : null)} isUsed={isOn}>
      <div class="field-grid more-fields">
        <div class="span-all">
          <SelectField
            name="compare"
            options={COMPARISONS.map((value) => ({ value, label: t.compare.modes[value] }))}
          />
        </div>
        {mode === 'xyz' && (
          <>
            <AxisRow name="axisX" />
            <AxisRow name="axisY" />
            <AxisRow name="axisZ" />
          </>
        )}
        {isOn && (
          <p class="field-hint span-all">
            {mode === 'xyz' ? t.compare.xyzHint : t.compare.matrixHint}
          </p>
        )}
      </div>
    </Folded>
  );
}
