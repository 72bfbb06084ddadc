import { z } from 'zod';
import { type ControlParams, controlParams, MAX_CONTROLS } from '../../../protocol/control.ts';
import { ApiError } from '../errors.ts';
import { readImage } from '../image-input.ts';
import { parseBody } from '../json-body.ts';
import * as field from '../lenient.ts';
import { isRecord, readBoolean, readNumber, readText } from '../lenient.ts';
import { findModule } from './modules.ts';
import { type ControlnetName, findControlnet } from './names.ts';

/** One unit of sd-webui-controlnet's API, keys of older versions already renamed. */
const unitSchema = z.object({
  module: field.text('none'),
  model: field.text('None'),
  weight: field.float(1, { min: 0, max: 10 }),
  image: z.unknown().optional(),
  mask: z.unknown().optional(),
  resize_mode: z.unknown().optional(),
  processor_res: field.integer(-1, { max: 4096 }),
  threshold_a: field.float(-1, { max: 10_000 }),
  threshold_b: field.float(-1, { max: 10_000 }),
  guidance_start: field.float(0, { min: 0, max: 1 }),
  guidance_end: field.float(1, { min: 0, max: 1 }),
  pixel_perfect: field.boolean(false),
  control_mode: z.unknown().optional(),
  guess_mode: field.booleanOrNull(),
  hr_option: z.unknown().optional(),
  save_detected_map: field.boolean(true),
});

/** Keys of older versions, and what they are called now. */
const OLD_KEYS: Readonly<Record<string, string>> = {
  guessmode: 'guess_mode',
  guidance: 'guidance_end',
  input_image: 'image',
  mask_image: 'mask',
};

const SCRIPT = 'controlnet';

/** True for the always-on script whose units are read here. */
export function isControlnetScript(name: string): boolean {
  return name.trim().toLowerCase() === SCRIPT;
}

interface UnitRequest {
  readonly alwayson_scripts: Readonly<Record<string, unknown>>;
  readonly controlnet_units?: readonly unknown[];
}

/**
 * What a request carries in the places where clients put units: a list, or one by itself. One client sends the same units
 * in both places, so the older one counts only where the script has none.
 */
function sentUnits({ alwayson_scripts: scripts, controlnet_units = [] }: UnitRequest): unknown[] {
  const entries = Object.entries(scripts).filter(([name]) => isControlnetScript(name));
  const listed = entries.flatMap(([, script]) => {
    const args = isRecord(script) ? script.args : script;
    return Array.isArray(args) ? args : [args];
  });
  // Flags of the extension's page stand between the units.
  const units = listed.filter(isRecord);
  return units.length > 0 ? units : controlnet_units.filter(isRecord);
}

export interface UnitContext {
  readonly controlnets: readonly ControlnetName[];
  /** Whether the job has a picture of its own that a unit may take. */
  readonly hasInitImage: boolean;
}

/**
 * The units of a request that are switched on. Throws a 422 for modules and ControlNets that are not there, pictures that
 * are none, and values out of range; a unit without a ControlNet is left out with a note.
 */
export function controlsOf(
  request: UnitRequest,
  context: UnitContext,
): { controls: ControlParams[]; notes: string[] } {
  const controls: ControlParams[] = [];
  const notes: string[] = [];
  for (const [unit, sent] of sentUnits(request).entries()) {
    const renamed = Object.fromEntries(
      Object.entries(sent as object).map(([key, value]) => [OLD_KEYS[key] ?? key, value]),
    );
    if (readBoolean(renamed.enabled ?? true) === false) continue;
    const values = parseBody(renamed, unitSchema);
    if (['', 'none'].includes(values.model.trim().toLowerCase())) {
      notes.push(`ControlNet unit ${unit} names no model and had no effect.`);
      continue;
    }
    controls.push(toControl(unit, values, context));
  }
  if (controls.length <= MAX_CONTROLS) return { controls, notes };
  throw new ApiError(422, `${controls.length} ControlNet units; at most ${MAX_CONTROLS} are made.`);
}

function toControl(
  unit: number,
  values: z.output<typeof unitSchema>,
  { controlnets, hasInitImage }: UnitContext,
): ControlParams {
  const { name, label } = modelOf(values.model, controlnets);
  const { image, mask } = picturesOf(values);
  if (image === null && !hasInitImage) {
    throw new ApiError(422, `ControlNet unit ${unit} has no picture: send one as "image".`);
  }
  return controlParams.parse({
    ...{ unit, model: name, modelLabel: label, image, mask },
    module: findModule(values.module),
    weight: values.weight,
    resizeMode: resizeModeOf(values.resize_mode),
    processorResolution: values.processor_res < 0 ? null : Math.max(64, values.processor_res),
    thresholdA: values.threshold_a < 0 ? null : values.threshold_a,
    thresholdB: values.threshold_b < 0 ? null : values.threshold_b,
    guidanceStart: values.guidance_start,
    guidanceEnd: values.guidance_end,
    isPixelPerfect: values.pixel_perfect,
    mode: values.guess_mode ? 'control' : controlModeOf(values.control_mode),
    passes: passesOf(values.hr_option),
    isMapShown: values.save_detected_map,
  });
}

/** The ControlNet meant; throws a 422 that names what is there. */
export function modelOf(asked: string, controlnets: readonly ControlnetName[]): ControlnetName {
  const found = findControlnet(asked, controlnets);
  if (found) return found;
  const there = controlnets.map(({ name }) => name).join(', ');
  throw new ApiError(
    422,
    `There is no ControlNet "${asked.slice(0, 200)}". ${there === '' ? 'Put one into models/ControlNet.' : `There are: ${there.slice(0, 1000)}.`}`,
  );
}

/** A picture may be text, an object with `image` and `mask`, or a pair of both. */
function picturesOf({ image, mask }: { image?: unknown; mask?: unknown }) {
  const pair = Array.isArray(image)
    ? { image: image[0], mask: image[1] ?? mask }
    : isRecord(image)
      ? { image: image.image, mask: image.mask ?? mask }
      : { image, mask };
  const sent = encoded(pair.image);
  return { image: sent, mask: sent === null ? null : encoded(pair.mask) };
}

function encoded(value: unknown): string | null {
  if (value === null || value === undefined || value === '') return null;
  const text = readText(value);
  if (text === undefined) throw new ApiError(422, 'Invalid encoded image');
  return readImage(text).bytes.toString('base64');
}

const RESIZE_MODES = ['stretch', 'crop', 'fill'] as const;
const CONTROL_MODES = ['balanced', 'prompt', 'control'] as const;
const PASSES = ['both', 'first', 'second'] as const;

/** Numbers, names of this version and of older ones; what none of them is gets the default. */
function choice<T extends string>(
  value: unknown,
  numbered: readonly T[],
  named: readonly (readonly [RegExp, T])[],
  fallback: T,
): T {
  if (value === null || value === undefined) return fallback;
  const number = readNumber(value);
  if (number !== undefined) return numbered[Math.trunc(number)] ?? fallback;
  const text = readText(value) ?? '';
  return named.find(([pattern]) => pattern.test(text))?.[1] ?? fallback;
}

const resizeModeOf = (value: unknown) =>
  choice(
    value,
    // Unknown numbers stretch, as there; 3 is img2img's latent resize.
    [...RESIZE_MODES, 'stretch'],
    [
      [/just/i, 'stretch'],
      [/inner|crop/i, 'crop'],
      [/outer|fill/i, 'fill'],
    ],
    'crop',
  );

const controlModeOf = (value: unknown) =>
  choice(
    value,
    CONTROL_MODES,
    [
      [/controlnet is|\.control$/i, 'control'],
      [/prompt/i, 'prompt'],
    ],
    'balanced',
  );

const passesOf = (value: unknown) =>
  choice(
    value,
    PASSES,
    [
      [/low/i, 'first'],
      [/high/i, 'second'],
    ],
    'both',
  );
