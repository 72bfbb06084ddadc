import { useState } from 'preact/hooks';
import type { NumberField as NumberName } from '../form.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { NumberField } from './number-field.tsx';

const NAMES = ['subseed', 'subseedStrength', 'clipSkip'] as const satisfies readonly NumberName[];

/** What is seldom needed; open where something in it is wrong, so that it can be seen and mended. */
export function MoreFields() {
  const { state } = useApp();
  const [isOpen, setOpen] = useState(false);
  const hasProblem = NAMES.some((name) => state.fieldProblems.value[name]);
  const isShown = isOpen || hasProblem;
  return (
    <details open={isShown} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t.create.more}</summary>
      {isShown && (
        <div class="field-grid more-fields">
          <NumberField name="subseed" />
          <NumberField name="subseedStrength" step={0.05} />
          <NumberField name="clipSkip" />
        </div>
      )}
    </details>
  );
}
