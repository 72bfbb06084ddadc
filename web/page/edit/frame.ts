import { GENERATION_LIMITS } from '../../../protocol/generation.ts';
import type { Size } from './viewport.ts';

export const EDGES = ['left', 'up', 'right', 'down'] as const;
export type Edge = (typeof EDGES)[number];

/** Sides of a frame that grows become multiples of this, which suits every VAE. */
export const GROWTH_STEP = 64;

/** Pixels that are new on each side. */
export type Margins = Readonly<Record<Edge, number>>;

/**
 * The margin that brings the frame's side nearest to a growth of `wanted` pixels and to a multiple of 64;
 * 0 where that is no growth. The frame stays within the largest size of a job.
 */
export function growthAt(size: Size, edge: Edge, wanted: number): number {
  const side = edge === 'left' || edge === 'right' ? size.width : size.height;
  const target = Math.round((side + wanted) / GROWTH_STEP) * GROWTH_STEP;
  const most = Math.floor(GENERATION_LIMITS.maxSide / GROWTH_STEP) * GROWTH_STEP;
  return Math.max(0, Math.min(target, most) - side);
}

/** The smallest growth there is: to the next multiple of 64. */
export function nextGrowth(size: Size, edge: Edge): number {
  const side = edge === 'left' || edge === 'right' ? size.width : size.height;
  return growthAt(size, edge, GROWTH_STEP - (side % GROWTH_STEP));
}

export function marginsOf(edge: Edge, pixels: number): Margins {
  return { left: 0, up: 0, right: 0, down: 0, [edge]: pixels };
}

export function grownSize(size: Size, margins: Margins): Size {
  return {
    width: size.width + margins.left + margins.right,
    height: size.height + margins.up + margins.down,
  };
}
