import type { NumberField as NumberName } from '../form.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { Folded } from './folded.tsx';
import { ModelChoice } from './model-choice.tsx';
import { NumberField } from './number-field.tsx';

const NAMES = ['subseed', 'subseedStrength', 'clipSkip'] as const satisfies readonly NumberName[];

/** Which VAE decodes; only where there is another than the checkpoint's own. */
function VaeField() {
  const { state } = useApp();
  const names = (state.catalog.value.models ?? [])
    .filter(({ kind }) => kind === 'vae')
    .map(({ name }) => name);
  if (names.length === 0 && state.form.vae.value === '') return null;
  const others = [
    { value: '', label: t.create.vaeStarted },
    { value: 'Automatic', label: t.create.vaeAutomatic },
    { value: 'None', label: t.create.vaeNone },
  ];
  return <ModelChoice name="vae" names={names} others={others} />;
}

/** What is seldom needed. */
export function MoreFields() {
  const { state } = useApp();
  const hasProblem = NAMES.some((name) => state.fieldProblems.value[name]);
  return (
    <Folded title={t.create.more} hasProblem={hasProblem}>
      <div class="field-grid more-fields">
        <NumberField name="subseed" />
        <NumberField name="subseedStrength" step={0.05} />
        <NumberField name="clipSkip" />
        <VaeField />
      </div>
    </Folded>
  );
}
