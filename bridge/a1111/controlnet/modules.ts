import type { ControlModule } from '../../../protocol/control.ts';
import { ApiError } from '../errors.ts';

/** A preprocessor as clients see it. */
interface ModuleEntry {
  readonly name: ControlModule;
  /** What sd-webui-controlnet shows for it. */
  readonly alias: string;
  readonly sliders: readonly {
    readonly name: string;
    readonly value: number;
    readonly min: number;
    readonly max: number;
    readonly step?: number;
  }[];
}

export const MODULES: readonly ModuleEntry[] = [
  { name: 'none', alias: 'none', sliders: [] },
  {
    name: 'canny',
    alias: 'canny',
    sliders: [
      { name: 'Preprocessor Resolution', value: 512, min: 64, max: 2048, step: 8 },
      { name: 'Canny Low Threshold', value: 100, min: 1, max: 255, step: 1 },
      { name: 'Canny High Threshold', value: 200, min: 1, max: 255, step: 1 },
    ],
  },
  { name: 'invert', alias: 'invert (from white bg & black line)', sliders: [] },
];

/** The preprocessor by name or alias, in any case; throws a 422 that names what is there. */
export function findModule(asked: string): ControlModule {
  const lower = asked.trim().toLowerCase() || 'none';
  const found = MODULES.find(({ name, alias }) => [name, alias].includes(lower));
  if (found) return found.name;
  const there = MODULES.map(({ name }) => name).join(', ');
  throw new ApiError(
    422,
    `The ControlNet module "${asked.slice(0, 100)}" is not available here; there are ${there}. Send the picture as another program preprocessed it, with the module none.`,
  );
}
