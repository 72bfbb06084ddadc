import type { OutpaintParams } from './generation.ts';

/** Sides of a canvas that grows are multiples of this, whatever the VAE. */
const MULTIPLE = 64;

interface Span {
  readonly size: number;
  readonly before: number;
  readonly after: number;
}

/** One direction: the size is rounded up, and what that adds goes to the sides that grow, in their proportion. */
function grow(size: number, before: number, after: number): Span {
  if (before + after === 0) return { size, before: 0, after: 0 };
  const target = Math.ceil((size + before + after) / MULTIPLE) * MULTIPLE;
  const first = Math.floor((before * (target - size)) / (before + after));
  const start = after === 0 ? target - size : first;
  return { size: target, before: start, after: target - size - start };
}

/** Size in pixels of an outpainted picture's canvas, and how much of it is new on each side. */
export function outpaintPlace(
  source: { readonly width: number; readonly height: number },
  { left, right, up, down }: Pick<OutpaintParams, 'left' | 'right' | 'up' | 'down'>,
) {
  const x = grow(source.width, left, right);
  const y = grow(source.height, up, down);
  return {
    width: x.size,
    height: y.size,
    left: x.before,
    right: x.after,
    up: y.before,
    down: y.after,
  };
}
