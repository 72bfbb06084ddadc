import { parseInfotext } from '../../protocol/infotext.ts';
import { settingOverrides } from '../../protocol/setting-names.ts';
import { isRecord } from './lenient.ts';
import type { Options } from './options.ts';

/** Fields of both routes and the infotext labels that fill them. */
const COMMON_LABELS: readonly (readonly [field: string, label: string])[] = [
  ['prompt', 'Prompt'],
  ['negative_prompt', 'Negative prompt'],
  ['styles', 'Styles array'],
  ['steps', 'Steps'],
  ['sampler_name', 'Sampler'],
  ['scheduler', 'Schedule type'],
  ['cfg_scale', 'CFG scale'],
  ['seed', 'Seed'],
  ['width', 'Size-1'],
  ['height', 'Size-2'],
  ['batch_size', 'Batch size'],
  ['subseed', 'Variation seed'],
  ['subseed_strength', 'Variation seed strength'],
  ['seed_resize_from_w', 'Seed resize from-1'],
  ['seed_resize_from_h', 'Seed resize from-2'],
  ['denoising_strength', 'Denoising strength'],
  ['refiner_checkpoint', 'Refiner'],
  ['refiner_switch_at', 'Refiner switch at'],
];

const HIRES_LABELS: readonly (readonly [field: string, label: string])[] = [
  ['hr_scale', 'Hires upscale'],
  ['hr_upscaler', 'Hires upscaler'],
  ['hr_second_pass_steps', 'Hires steps'],
  ['hr_resize_x', 'Hires resize-1'],
  ['hr_resize_y', 'Hires resize-2'],
  ['hr_checkpoint_name', 'Hires checkpoint'],
  ['hr_sampler_name', 'Hires sampler'],
  ['hr_scheduler', 'Hires schedule type'],
  ['hr_prompt', 'Hires prompt'],
  ['hr_negative_prompt', 'Hires negative prompt'],
];

/** What a missing hires label is filled in with: the same as in the first pass. */
const SAME = /^Use same (checkpoint|sampler|scheduler)$/;

type Values = ReturnType<typeof parseInfotext>;

/** A1111's test for hires fix in an infotext. */
function hasHires(values: Values): boolean {
  const isSized = 'Hires upscale' in values || 'Hires upscaler' in values;
  const resizes = values['Hires resize-1'] !== undefined && values['Hires resize-1'] !== 0;
  return 'Denoising strength' in values && (isSized || resizes);
}

function fieldsOf(values: Values, route: 'txt2img' | 'img2img'): Record<string, unknown> {
  const labels = route === 'txt2img' ? [...COMMON_LABELS, ...HIRES_LABELS] : COMMON_LABELS;
  const fields: Record<string, unknown> = {};
  for (const [field, label] of labels) {
    const value = values[label];
    if (value !== undefined && !SAME.test(String(value))) fields[field] = value;
  }
  if (route === 'txt2img' && hasHires(values)) fields.enable_hr = true;
  return fields;
}

/**
 * A request body with the fields that its `infotext` names and it does not, as A1111 fills them; settings that differ
 * from `options` go into `override_settings`. A body without infotext comes back as it is.
 */
export function withInfotext(
  body: Readonly<Record<string, unknown>>,
  route: 'txt2img' | 'img2img',
  options: Options,
): Readonly<Record<string, unknown>> {
  if (typeof body.infotext !== 'string' || body.infotext.trim() === '') return body;
  const values = parseInfotext(body.infotext, {
    useOldHiresSize: options.use_old_hires_fix_width_height === true,
    autoBackcompat: options.auto_backcompat !== false,
  });
  const overrides = settingOverrides(values, options).map(({ setting, value }) => [setting, value]);
  const given = isRecord(body.override_settings) ? body.override_settings : {};
  return {
    ...fieldsOf(values, route),
    ...body,
    override_settings: { ...Object.fromEntries(overrides), ...given },
  };
}
