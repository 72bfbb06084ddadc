import { CONTROL_MODULES } from '../../protocol/control.ts';
import { CONTROL_UNITS, type ControlUnit, type ControlValues, unitField } from './control-form.ts';

type Changes = { -readonly [Name in keyof ControlValues]?: ControlValues[Name] };

/** A name without the short hash behind it. */
export function withoutHash(title: string): string {
  return title.replace(/\s*\[[0-9a-f]+\]$/, '');
}

/** Labels of older versions of sd-webui-controlnet, and what they are called now. */
const OLD_LABELS: Readonly<Record<string, string>> = { preprocessor: 'module' };

/** `Module: canny, Model: …` as labels in lower case; two numbers in brackets stay together. */
function pairsOf(text: string): ReadonlyMap<string, string> {
  const pairs = text.matchAll(/([^:,]+): (\([^)]*\)|[^,]*)(?:, |$)/g);
  return new Map(
    [...pairs].map(([, label = '', value = '']) => {
      const lower = label.trim().toLowerCase();
      return [OLD_LABELS[lower] ?? lower, value.trim()];
    }),
  );
}

/** What an infotext's `ControlNet 0` says of a unit; modules that are not here count as none. */
function unitOfText(unit: ControlUnit, text: string): Changes {
  const pairs = pairsOf(text);
  const changes: Record<string, string> = {
    [unitField(unit, 'Use')]: 'on',
    [unitField(unit, 'Model')]: withoutHash(pairs.get('model') ?? ''),
    [unitField(unit, 'Module')]:
      CONTROL_MODULES.find((name) => pairs.get('module')?.startsWith(name)) ?? 'none',
    [unitField(unit, 'PixelPerfect')]: pairs.get('pixel perfect') === 'True' ? 'on' : 'off',
  };
  const [, start, end] = /^\(([\d.]+), ([\d.]+)\)$/.exec(pairs.get('starting/ending') ?? '') ?? [];
  const numbers = [
    ['Weight', pairs.get('weight')],
    ['Start', pairs.get('guidance start') ?? start],
    ['End', pairs.get('guidance end') ?? end],
    ['Low', pairs.get('threshold a')],
    ['High', pairs.get('threshold b')],
  ] as const;
  for (const [part, value] of numbers) {
    // Extensions write -1 for what the module does not have.
    if (value !== undefined && Number(value) >= 0) {
      changes[unitField(unit, part)] = String(Number(value));
    }
  }
  const [resize, mode] = [pairs.get('resize mode'), pairs.get('control mode')];
  if (resize) changes[unitField(unit, 'Resize')] = resizeOf(resize);
  if (mode) changes[unitField(unit, 'Mode')] = modeOf(mode);
  return changes as Changes;
}

function resizeOf(name: string): ControlValues['control0Resize'] {
  if (/just/i.test(name)) return 'stretch';
  return /fill|outer/i.test(name) ? 'fill' : 'crop';
}

function modeOf(name: string): ControlValues['control0Mode'] {
  if (/controlnet is/i.test(name)) return 'control';
  return /prompt/i.test(name) ? 'prompt' : 'balanced';
}

/** The units of an infotext's settings; one that it does not name is off. */
export function controlsOfInfotext(text: (label: string) => string | undefined): Changes {
  return Object.assign(
    {},
    ...CONTROL_UNITS.map((unit) => {
      const described = text(`ControlNet ${unit}`);
      return described === undefined
        ? { [unitField(unit, 'Use')]: 'off' }
        : unitOfText(unit, described);
    }),
  );
}
