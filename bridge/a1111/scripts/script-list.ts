import { ApiError } from '../errors.ts';
import { axesOf, type Route } from './axes.ts';
import type { ScriptContext, ScriptPlan } from './plan.ts';
import { planPromptMatrix } from './prompt-matrix.ts';
import { planXyzPlot } from './xyz-plot.ts';

/** One argument of a script as script-info describes it. */
interface ScriptArgument {
  readonly label: string | null;
  readonly value: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly step?: number;
  readonly choices?: readonly string[];
}

/** A script that a request can name. */
export interface Script {
  /** As A1111 lists it: its title in lower case. */
  readonly name: string;
  readonly routes: readonly Route[];
  arguments(route: Route): readonly ScriptArgument[];
  /** Pictures in a row; absent where the script changes the one job alone. */
  readonly plan?: (args: readonly unknown[], context: ScriptContext) => ScriptPlan;
}

const MARGIN = { minimum: 0, maximum: 500, step: 2 };
const DIRECTIONS = ['left', 'right', 'up', 'down'];

const PROMPT_MATRIX: Script = {
  name: 'prompt matrix',
  routes: ['txt2img', 'img2img'],
  arguments: () => [
    { label: 'Put variable parts at start of prompt', value: false },
    { label: 'Use different seed for each picture', value: false },
    { label: 'Select prompt', value: 'positive', choices: ['positive', 'negative'] },
    { label: 'Select joining char', value: 'comma', choices: ['comma', 'space'] },
    { label: 'Grid margins (px)', value: 0, ...MARGIN },
  ],
  plan: planPromptMatrix,
};

const XYZ_PLOT: Script = {
  name: 'x/y/z plot',
  routes: ['txt2img', 'img2img'],
  arguments(route) {
    const choices = axesOf(route).map(({ label }) => label);
    const axis = (letter: string, value: string): ScriptArgument[] => [
      { label: `${letter} type`, value, choices },
      { label: `${letter} values`, value: '' },
      { label: `${letter} values`, value: [], choices: [] },
    ];
    return [
      ...axis('X', 'Seed'),
      ...axis('Y', 'Nothing'),
      ...axis('Z', 'Nothing'),
      { label: 'Draw legend', value: true },
      { label: 'Include Sub Images', value: false },
      { label: 'Include Sub Grids', value: false },
      { label: 'Keep -1 for seeds', value: false },
      { label: 'Vary seeds for X', value: false },
      { label: 'Vary seeds for Y', value: false },
      { label: 'Vary seeds for Z', value: false },
      { label: 'Grid margins (px)', value: 0, ...MARGIN },
      { label: 'Use text inputs instead of dropdowns', value: false },
    ];
  },
  plan: planXyzPlot,
};

const OUTPAINTING_MK2: Script = {
  name: 'outpainting mk2',
  routes: ['img2img'],
  arguments: () => [
    { label: null, value: '' },
    { label: 'Pixels to expand', value: 128, minimum: 8, maximum: 256, step: 8 },
    { label: 'Mask blur', value: 8, minimum: 0, maximum: 64, step: 1 },
    { label: 'Outpainting direction', value: DIRECTIONS, choices: DIRECTIONS },
    { label: 'Fall-off exponent', value: 1, minimum: 0, maximum: 4, step: 0.01 },
    { label: 'Color variation', value: 0.05, minimum: 0, maximum: 1, step: 0.01 },
  ],
};

const POOR_MANS_OUTPAINTING: Script = {
  name: "poor man's outpainting",
  routes: ['img2img'],
  arguments: () => [
    { label: 'Pixels to expand', value: 128, minimum: 8, maximum: 256, step: 8 },
    { label: 'Mask blur', value: 4, minimum: 0, maximum: 64, step: 1 },
    {
      ...{ label: 'Masked content', value: 'fill' },
      choices: ['fill', 'original', 'latent noise', 'latent nothing'],
    },
    { label: 'Outpainting direction', value: DIRECTIONS, choices: DIRECTIONS },
  ],
};

export const SCRIPTS: readonly Script[] = [
  OUTPAINTING_MK2,
  POOR_MANS_OUTPAINTING,
  PROMPT_MATRIX,
  XYZ_PLOT,
];

/** The script that a request names, in whatever case; null for none. Throws A1111's 422 for an unknown one. */
export function findScript(name: string | null, route: Route): Script | null {
  if (name === null || name.trim().toLowerCase() === 'none') return null;
  const wanted = name.trim().toLowerCase();
  const found = SCRIPTS.find((script) => script.name === wanted && script.routes.includes(route));
  if (found) return found;
  throw new ApiError(422, `Script '${name.slice(0, 200)}' not found`);
}

/** `GET /sdapi/v1/scripts`. */
export function listScripts(): Record<Route, string[]> {
  const names = (route: Route) =>
    SCRIPTS.filter(({ routes }) => routes.includes(route)).map(({ name }) => name);
  return { txt2img: names('txt2img'), img2img: names('img2img') };
}

/** `GET /sdapi/v1/script-info`. */
export function describeScripts() {
  return SCRIPTS.flatMap((script) =>
    script.routes.map((route) => ({
      name: script.name,
      is_alwayson: false,
      is_img2img: route === 'img2img',
      args: script
        .arguments(route)
        .map(({ label, value, minimum = null, maximum = null, step = null, choices = null }) => ({
          label: label ?? '',
          ...{ value, minimum, maximum, step, choices },
        })),
    })),
  );
}
