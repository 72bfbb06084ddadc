import { z } from 'zod';
import {
  CONTROL_MODES,
  CONTROL_MODULES,
  CONTROL_RESIZE_MODES,
  type ControlParams,
  controlParams,
} from '../../protocol/control.ts';

/** The ControlNet units that the page offers, numbered as infotexts number them. */
export const CONTROL_UNITS = [0, 1, 2] as const;
export type ControlUnit = (typeof CONTROL_UNITS)[number];

const typed = (fallback: string) => z.string().max(30).catch(fallback);

/** What one unit has in the form; `control1Weight` is the weight of unit 1. */
const unitShape = {
  Use: z.enum(['off', 'on']).catch('off'),
  Model: z.string().max(500).catch(''),
  Module: z.enum(CONTROL_MODULES).catch('none'),
  Weight: typed('1'),
  Start: typed('0'),
  End: typed('1'),
  Mode: z.enum(CONTROL_MODES).catch('balanced'),
  Resize: z.enum(CONTROL_RESIZE_MODES).catch('crop'),
  /** Canny's thresholds. */
  Low: typed('100'),
  High: typed('200'),
  /** The preprocessor works at the size of the picture to be made, not at 512 pixels. */
  PixelPerfect: z.enum(['off', 'on']).catch('off'),
};
type UnitShape = typeof unitShape;
export type UnitPart = keyof UnitShape;
export type UnitField<Part extends UnitPart = UnitPart> = `control${ControlUnit}${Part}`;
type UnitFields = {
  [Name in UnitField]: Name extends `control${ControlUnit}${infer Part extends UnitPart}`
    ? UnitShape[Part]
    : never;
};

const UNIT_NUMBERS = {
  Weight: { min: 0, max: 10, isWhole: false },
  Start: { min: 0, max: 1, isWhole: false },
  End: { min: 0, max: 1, isWhole: false },
  Low: { min: 0, max: 10_000, isWhole: false },
  High: { min: 0, max: 10_000, isWhole: false },
} as const satisfies Partial<
  Record<UnitPart, { readonly min: number; readonly max: number; readonly isWhole: boolean }>
>;
export type UnitNumber = UnitField<keyof typeof UNIT_NUMBERS>;
type UnitRules = {
  readonly [Name in UnitNumber]: (typeof UNIT_NUMBERS)[keyof typeof UNIT_NUMBERS];
};

/** The form's name of one part of a unit. */
export function unitField<Part extends UnitPart>(unit: ControlUnit, part: Part): UnitField<Part> {
  return `control${unit}${part}`;
}

/** The same for every unit, by the form's names. */
function forEachUnit(parts: object): Record<string, unknown> {
  const entries = CONTROL_UNITS.flatMap((unit) =>
    Object.entries(parts).map(([part, value]) => [`control${unit}${part}`, value]),
  );
  return Object.fromEntries(entries);
}

export const controlFields = forEachUnit(unitShape) as UnitFields;
export const CONTROL_RULES = forEachUnit(UNIT_NUMBERS) as UnitRules;

export type ControlValues = {
  readonly [Name in UnitField]: z.infer<UnitFields[Name]>;
};

export function isUnitOn(values: ControlValues, unit: ControlUnit): boolean {
  return values[unitField(unit, 'Use')] === 'on';
}

/** Whether a field of the form is a unit's, and of which. */
export function unitOf(field: string): ControlUnit | null {
  const digit = /^control(\d)/.exec(field)?.[1];
  return CONTROL_UNITS.find((unit) => String(unit) === digit) ?? null;
}

/** Whether a number of a unit that is switched on counts: thresholds do for edges alone. */
export function isUnitNumberUsed(field: UnitNumber, values: ControlValues): boolean {
  const unit = unitOf(field);
  if (unit === null || !isUnitOn(values, unit)) return false;
  return !/Low$|High$/.test(field) || values[unitField(unit, 'Module')] === 'canny';
}

/** The control pictures by unit, as base64 of whole files; null is the picture that img2img begins with. */
export type ControlImages = readonly (string | null)[];

/** The units that are switched on, as a job has them. */
export function toControls(values: ControlValues, images: ControlImages): ControlParams[] {
  return CONTROL_UNITS.flatMap((unit) => {
    const part = <Part extends UnitPart>(name: Part) => values[unitField(unit, name)];
    if (!isUnitOn(values, unit)) return [];
    const module = part('Module');
    return [
      controlParams.parse({
        ...{ unit, model: part('Model'), module, image: images[unit] ?? null },
        weight: Number(part('Weight')),
        resizeMode: part('Resize'),
        guidanceStart: Number(part('Start')),
        guidanceEnd: Number(part('End')),
        mode: part('Mode'),
        isPixelPerfect: part('PixelPerfect') === 'on',
        ...(module === 'canny'
          ? { thresholdA: Number(part('Low')), thresholdB: Number(part('High')) }
          : {}),
      }),
    ];
  });
}
