import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { fieldLabel } from '../field-label.ts';
import { type FieldProblem, NUMBER_RULES, type NumberField as NumberName } from '../form.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

/** The sentence under a field that cannot be used. */
export function problemText(problem: FieldProblem): string {
  switch (problem.type) {
    case 'whole-number':
      return t.problems.wholeNumber(problem.min, problem.max);
    case 'number':
      return t.problems.number(problem.min, problem.max);
    case 'too-long':
      return t.problems.tooLong(problem.max);
    case 'no-picture':
      return t.problems.noPicture;
    case 'no-choice':
      return t.problems.noChoice;
  }
}

interface NumberFieldProps {
  readonly name: NumberName;
  /** Distance of one press of an arrow key. */
  readonly step?: number;
  /** Buttons that stand in the field's line. */
  readonly children?: ComponentChildren;
}

/** A number of the form with its label, and what is wrong with it. */
export function NumberField({ name, step = 1, children }: NumberFieldProps) {
  const { state } = useApp();
  const id = useId();
  const problem = state.fieldProblems.value[name];
  const { min, max, isWhole } = NUMBER_RULES[name];
  return (
    <div class="field">
      <label for={id}>{fieldLabel(name)}</label>
      <div class="field-line">
        <input
          id={id}
          type="number"
          inputMode={isWhole && min >= 0 ? 'numeric' : 'decimal'}
          min={min}
          max={max}
          step={step}
          value={state.form[name].value}
          aria-invalid={problem ? 'true' : undefined}
          aria-describedby={problem ? `${id}-problem` : undefined}
          onInput={(event) => setFields(state, { [name]: event.currentTarget.value })}
        />
        {children}
      </div>
      {problem && (
        <p class="field-problem" id={`${id}-problem`}>
          {problemText(problem)}
        </p>
      )}
    </div>
  );
}
