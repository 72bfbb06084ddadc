import { type ControlParams, controlParams } from '../../../protocol/control.ts';
import { ApiError } from '../errors.ts';
import { readImage } from '../image-input.ts';
import { type ControlnetName, findControlnet } from './names.ts';

/** SHARK's stencils by name: what finds their ControlNet, and whether their picture has to come ready. */
const STENCILS: Readonly<Record<string, { model: string; isReady: boolean }>> = {
  canny: { model: 'canny', isReady: false },
  scribble: { model: 'scribble', isReady: true },
  openpose: { model: 'openpose', isReady: true },
  zoedepth: { model: 'depth', isReady: true },
};

/**
 * SHARK's `use_stencil` as a ControlNet unit. Edges are drawn of the init picture; the other stencils take their map
 * as the second init picture, as SHARK's scribble did. Null without a stencil; throws a 422 that says what is missing.
 */
export function stencilOf(
  name: string | null,
  initImages: readonly string[],
  controlnets: readonly ControlnetName[],
): ControlParams | null {
  const stencil = name?.trim().toLowerCase() ?? 'none';
  if (stencil === 'none' || stencil === '') return null;
  // Its own keys alone: "__proto__" is a name that a client may send.
  const entry = Object.hasOwn(STENCILS, stencil) ? STENCILS[stencil] : undefined;
  if (!entry) {
    const there = Object.keys(STENCILS).join(', ');
    throw new ApiError(422, `There is no stencil "${stencil.slice(0, 100)}"; there are ${there}.`);
  }
  const net = findControlnet(entry.model, controlnets);
  if (!net) {
    throw new ApiError(
      422,
      `The stencil ${stencil} needs a ControlNet with "${entry.model}" in its name in models/ControlNet.`,
    );
  }
  const [, map] = initImages;
  if (entry.isReady && map === undefined) {
    throw new ApiError(
      422,
      `The stencil ${stencil} needs its map as the second of init_images: it is not drawn here.`,
    );
  }
  return controlParams.parse({
    ...{ model: net.name, modelLabel: net.label },
    module: entry.isReady ? 'none' : 'canny',
    image: entry.isReady && map !== undefined ? readImage(map).bytes.toString('base64') : null,
  });
}
