/** A point or a distance in two directions, in pixels of the screen or of the picture. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** How the picture lies on the screen: a picture's point p is seen at `p * scale + (x, y)`. */
export interface Viewport extends Point {
  readonly scale: number;
}

const MIN_SCALE = 0.02;
const MAX_SCALE = 32;

/** The picture as large as the box lets it be with `margin` around it, in its middle; never enlarged. */
export function fitInto(picture: Size, box: Size, margin: number): Viewport {
  const room = (side: number) => Math.max(1, side - 2 * margin);
  const wanted = Math.min(room(box.width) / picture.width, room(box.height) / picture.height, 1);
  const scale = Math.max(MIN_SCALE, wanted);
  return {
    scale,
    x: (box.width - picture.width * scale) / 2,
    y: (box.height - picture.height * scale) / 2,
  };
}

/** Enlarges by `factor`; what lies under `point` of the screen stays there. */
export function zoomAt(view: Viewport, point: Point, factor: number): Viewport {
  const scale = Math.min(MAX_SCALE, Math.max(MIN_SCALE, view.scale * factor));
  const grown = scale / view.scale;
  return {
    scale,
    x: point.x - (point.x - view.x) * grown,
    y: point.y - (point.y - view.y) * grown,
  };
}

export function panBy(view: Viewport, distance: Point): Viewport {
  return { ...view, x: view.x + distance.x, y: view.y + distance.y };
}

export function toPicture(view: Viewport, point: Point): Point {
  return { x: (point.x - view.x) / view.scale, y: (point.y - view.y) / view.scale };
}

export function toScreen(view: Viewport, point: Point): Point {
  return { x: point.x * view.scale + view.x, y: point.y * view.scale + view.y };
}

/** Two fingers that moved: the picture's points under them stay under them, as far as their distance says. */
export function pinch(
  view: Viewport,
  before: readonly [Point, Point],
  now: readonly [Point, Point],
): Viewport {
  const middle = ([a, b]: readonly [Point, Point]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  const distance = ([a, b]: readonly [Point, Point]) => Math.hypot(a.x - b.x, a.y - b.y);
  const [from, to] = [middle(before), middle(now)];
  const factor = distance(before) > 0 ? distance(now) / distance(before) : 1;
  return panBy(zoomAt(view, from, factor), { x: to.x - from.x, y: to.y - from.y });
}
