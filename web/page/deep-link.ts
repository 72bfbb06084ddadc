import { type FieldName, FORM_DEFAULTS, type FormValues, formValues } from './form.ts';
import { VIEWS, type View } from './state.ts';

const FIELD_NAMES = Object.keys(FORM_DEFAULTS) as readonly FieldName[];

/** What the fragment of the page's address asks for: `#gallery`, `#create?prompt=a+red+apple&seed=7`. */
export interface LinkTarget {
  readonly view: View;
  readonly form: Partial<FormValues>;
}

/** Reads a fragment; unknown views, names and values are passed over. */
export function readLink(fragment: string): LinkTarget {
  const [name = '', query = ''] = fragment.replace(/^#/, '').split(/\?(.*)/s);
  const view = VIEWS.find((candidate) => candidate === name) ?? 'create';
  const search = new URLSearchParams(query);
  const form: Record<string, string> = {};
  for (const field of FIELD_NAMES) {
    const value = search.get(field);
    // A value that the field does not take comes back as the field's default.
    if (value !== null && formValues.shape[field].parse(value) === value) form[field] = value;
  }
  return { view, form };
}

/**
 * The address that opens Create with these settings. They stand in the fragment, which browsers send
 * to no server.
 */
export function writeLink(baseUrl: string, values: Partial<FormValues>): string {
  const search = new URLSearchParams();
  for (const field of FIELD_NAMES) {
    const value = values[field];
    if (value !== undefined && value !== '') search.set(field, value);
  }
  return `${baseUrl}#create?${search}`;
}
