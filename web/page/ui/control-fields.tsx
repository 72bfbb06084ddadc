import { CONTROL_MODES, CONTROL_MODULES, CONTROL_RESIZE_MODES } from '../../../protocol/control.ts';
import { takeControlPicture } from '../actions.ts';
import { CONTROL_UNITS, type ControlUnit, isUnitOn, unitField, unitOf } from '../control-form.ts';
import { fieldLabel } from '../field-label.ts';
import type { FieldName } from '../form.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { CheckField } from './check-field.tsx';
import { useApp } from './context.ts';
import { ControlPicture, useOwnFiles } from './control-picture.tsx';
import { Folded } from './folded.tsx';
import { ModelChoice } from './model-choice.tsx';
import { NumberField } from './number-field.tsx';
import { SelectField } from './select-field.tsx';

interface UnitProps {
  readonly unit: ControlUnit;
  /** The job begins with a picture that the unit may keep to. */
  readonly hasInit: boolean;
}

function UnitSettings({ unit, names }: { unit: ControlUnit; names: readonly string[] }) {
  const { state } = useApp();
  const isCanny = state.form[unitField(unit, 'Module')].value === 'canny';
  return (
    <div class="field-grid">
      <ModelChoice name={unitField(unit, 'Model')} names={names} />
      <SelectField
        name={unitField(unit, 'Module')}
        options={CONTROL_MODULES.map((value) => ({ value, label: t.control.modules[value] }))}
      />
      {isCanny && (
        <>
          <NumberField name={unitField(unit, 'Low')} />
          <NumberField name={unitField(unit, 'High')} />
          <div class="span-all">
            <CheckField
              name={unitField(unit, 'PixelPerfect')}
              label={fieldLabel(unitField(unit, 'PixelPerfect'))}
            />
          </div>
        </>
      )}
      <NumberField name={unitField(unit, 'Weight')} step={0.05} />
      <SelectField
        name={unitField(unit, 'Mode')}
        options={CONTROL_MODES.map((value) => ({ value, label: t.control.modes[value] }))}
      />
      <NumberField name={unitField(unit, 'Start')} step={0.05} />
      <NumberField name={unitField(unit, 'End')} step={0.05} />
      <div class="span-all">
        <SelectField
          name={unitField(unit, 'Resize')}
          options={CONTROL_RESIZE_MODES.map((value) => ({
            value,
            label: t.control.resizeModes[value],
          }))}
        />
      </div>
    </div>
  );
}

/** One unit: its switch, and once that is on, its picture and how it is kept to. */
function Unit({ unit, hasInit }: UnitProps) {
  const app = useApp();
  const { state } = app;
  const model = state.form[unitField(unit, 'Model')];
  const names = (state.catalog.value.models ?? [])
    .filter(({ kind }) => kind === 'controlnet')
    .map(({ name }) => name);
  const own = useOwnFiles((file) => void takeControlPicture(app, unit, file));
  const chooseFirst = () => {
    const [first] = names;
    if (model.value === '' && first) setFields(state, { [unitField(unit, 'Model')]: first });
  };
  const isOn = state.form[unitField(unit, 'Use')].value === 'on';
  return (
    <fieldset class="switched control-unit" {...own.handlers}>
      <legend class="visually-hidden">{t.control.unit(unit)}</legend>
      <CheckField
        name={unitField(unit, 'Use')}
        label={t.control.unit(unit)}
        onSwitchedOn={chooseFirst}
      />
      {isOn && (
        <>
          <ControlPicture unit={unit} hasInit={hasInit} isOver={own.isOver} />
          <UnitSettings unit={unit} names={names} />
        </>
      )}
    </fieldset>
  );
}

/** ControlNet units; the next one is there once the one before is on. */
export function ControlFields({ hasInit }: Pick<UnitProps, 'hasInit'>) {
  const { state } = useApp();
  const values = state.formValues.value;
  const on = CONTROL_UNITS.filter((unit) => isUnitOn(values, unit));
  const isAnyHere = (state.catalog.value.models ?? []).some(({ kind }) => kind === 'controlnet');
  const last = Math.max(-1, ...on) + 1;
  const hasProblem = Object.keys(state.fieldProblems.value).some(
    (field) => unitOf(field as FieldName) !== null,
  );
  return (
    <Folded
      title={t.control.title(on.map((unit) => values[unitField(unit, 'Model')] || '?'))}
      isUsed={on.length > 0}
      hasProblem={hasProblem}
    >
      {!isAnyHere && (
        <p class="field-hint">
          {t.control.none} <a href="#models">{t.nav.models}</a>.
        </p>
      )}
      {(isAnyHere || on.length > 0) &&
        CONTROL_UNITS.filter((unit) => unit <= last).map((unit) => (
          <Unit key={unit} unit={unit} hasInit={hasInit} />
        ))}
    </Folded>
  );
}
