import type { UnitField, UnitPart } from './control-form.ts';
import type { FieldName } from './form.ts';
import { t } from './strings/strings.ts';

type LabelName = Exclude<FieldName, UnitField> | `control${UnitPart}`;

/** A field's label; those of ControlNet units are the same in each. */
export function fieldLabel(name: FieldName): string {
  const labels: Readonly<Record<LabelName, string>> = t.fields;
  return labels[name.replace(/^control\d/, 'control') as LabelName];
}
