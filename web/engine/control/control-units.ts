import type { ControlParams } from '../../../protocol/control.ts';
import type { InfotextInput } from '../../../protocol/infotext-values.ts';
import type { ActiveControl } from '../guidance.ts';
import { CANNY_DEFAULTS } from './preprocess.ts';

/**
 * The ControlNets of a pass that have a share in a call, `reached` being the share of its steps that are made. As in
 * sd-webui-controlnet: both ends count, what is not balanced is soft, and edges are soft in a second pass.
 */
export function activeControls(
  units: readonly ControlParams[],
  reached: number,
  isSecondPass: boolean,
): ActiveControl[] {
  return units.flatMap((unit, control) => {
    const { guidanceStart, guidanceEnd, weight, mode, module } = unit;
    if (reached < guidanceStart || reached > guidanceEnd) return [];
    const isSoft = mode !== 'balanced' || (isSecondPass && module === 'canny');
    return [{ control, strength: weight, isSoft, isCondOnly: mode === 'control' }];
  });
}

const RESIZE_NAMES = {
  stretch: 'Just Resize',
  crop: 'Crop and Resize',
  fill: 'Resize and Fill',
} as const;

const MODE_NAMES = {
  balanced: 'Balanced',
  prompt: 'My prompt is more important',
  control: 'ControlNet is more important',
} as const;

/** Infotext keys of a job's units, written as sd-webui-controlnet does: `ControlNet 0: "Module: canny, Model: …"`. */
export function controlInfotext(units: readonly ControlParams[]): Record<string, InfotextInput> {
  return Object.fromEntries(units.map((unit) => [`ControlNet ${unit.unit}`, unitText(unit)]));
}

function unitText(unit: ControlParams): string {
  const isCanny = unit.module === 'canny';
  const or = (value: number | null, fallback: number) => value ?? (isCanny ? fallback : null);
  const { resolution, low, high } = CANNY_DEFAULTS;
  const pairs: readonly (readonly [string, string | null])[] = [
    ['Module', unit.module],
    // These two separate pairs, and no reader knows how to tell them from a name's own.
    ['Model', (unit.modelLabel || unit.model).replace(/[,:]/g, ' ')],
    ['Weight', float(unit.weight)],
    ['Resize Mode', RESIZE_NAMES[unit.resizeMode]],
    ['Processor Res', or(unit.processorResolution, resolution)?.toString() ?? null],
    ['Threshold A', float(or(unit.thresholdA, low))],
    ['Threshold B', float(or(unit.thresholdB, high))],
    ['Guidance Start', float(unit.guidanceStart)],
    ['Guidance End', float(unit.guidanceEnd)],
    ['Pixel Perfect', unit.isPixelPerfect ? 'True' : 'False'],
    ['Control Mode', MODE_NAMES[unit.mode]],
  ];
  return pairs.flatMap(([key, value]) => (value === null ? [] : [`${key}: ${value}`])).join(', ');
}

/** As Python writes a float. */
function float(value: number | null): string | null {
  if (value === null) return null;
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
