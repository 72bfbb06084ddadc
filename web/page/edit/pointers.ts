import type { EditSession } from './edit-session.ts';
import { type Point, panBy, pinch, toPicture, zoomAt } from './viewport.ts';

/** One notch of a wheel enlarges by about a fifth. */
const WHEEL_ZOOM = 0.0018;

type Gesture =
  | { readonly type: 'none' }
  | { readonly type: 'stroke'; last: Point }
  | { readonly type: 'pan'; last: Point }
  | { readonly type: 'pinch'; last: readonly [Point, Point] };

/**
 * Turns what fingers, pen and mouse do on the canvas's area into strokes, zoom and pan: one pointer paints; two
 * fingers zoom and pan, and so do the wheel, the middle button, and the left one with the space bar held.
 */
export function followPointers(area: HTMLElement, session: EditSession): () => void {
  const pointers = new Map<number, Point>();
  let gesture: Gesture = { type: 'none' };
  let isSpaceHeld = false;
  const ended = new AbortController();
  const { signal } = ended;

  const place = (event: MouseEvent): Point => {
    const { left, top } = area.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const pictured = (point: Point) => toPicture(session.view.peek(), point);

  function twoPoints(): readonly [Point, Point] | null {
    const [a, b] = pointers.values();
    return a && b ? [a, b] : null;
  }

  function begin(event: PointerEvent): void {
    // Handles at the frame's edges are elements of their own.
    if (event.target instanceof Element && event.target.closest('button')) return;
    if (!session.hasPicture.peek()) return;
    area.focus({ preventScroll: true });
    area.setPointerCapture(event.pointerId);
    const at = place(event);
    pointers.set(event.pointerId, at);
    const fingers = event.pointerType === 'touch' ? twoPoints() : null;
    if (fingers) {
      if (gesture.type === 'stroke') session.dropStroke();
      gesture = { type: 'pinch', last: fingers };
    } else if (event.button === 1 || (event.button === 0 && isSpaceHeld)) {
      event.preventDefault();
      gesture = { type: 'pan', last: at };
    } else if (event.button === 0 && gesture.type === 'none') {
      gesture = { type: 'stroke', last: pictured(at) };
      session.beginStroke(gesture.last);
    }
  }

  function move(event: PointerEvent): void {
    const at = place(event);
    session.cursor.value = pictured(at);
    if (!pointers.has(event.pointerId)) return;
    pointers.set(event.pointerId, at);
    if (gesture.type === 'stroke') {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const one of events.length > 0 ? events : [event]) {
        const to = pictured(place(one));
        session.layers.strokeTo(gesture.last, to);
        gesture.last = to;
      }
    } else if (gesture.type === 'pan') {
      const distance = { x: at.x - gesture.last.x, y: at.y - gesture.last.y };
      session.view.value = panBy(session.view.peek(), distance);
      gesture.last = at;
    } else if (gesture.type === 'pinch') {
      const now = twoPoints();
      if (now) {
        session.view.value = pinch(session.view.peek(), gesture.last, now);
        gesture = { type: 'pinch', last: now };
      }
    }
  }

  function end(event: PointerEvent): void {
    if (!pointers.delete(event.pointerId)) return;
    if (gesture.type === 'stroke') session.endStroke();
    // The finger that is left of two paints nothing.
    if (pointers.size === 0 || gesture.type !== 'pinch') gesture = { type: 'none' };
  }

  function wheel(event: WheelEvent): void {
    if (!session.hasPicture.peek()) return;
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const factor = Math.exp(-event.deltaY * lines * WHEEL_ZOOM);
    session.view.value = zoomAt(session.view.peek(), place(event), factor);
  }

  const space = (isDown: boolean) => (event: KeyboardEvent) => {
    if (event.code !== 'Space') return;
    if (isDown && event.target !== area) return;
    if (isDown) event.preventDefault();
    isSpaceHeld = isDown;
    area.classList.toggle('panning', isDown);
  };

  area.addEventListener('pointerdown', begin, { signal });
  area.addEventListener('pointermove', move, { signal });
  area.addEventListener('pointerup', end, { signal });
  area.addEventListener('pointercancel', end, { signal });
  area.addEventListener('pointerleave', () => (session.cursor.value = null), { signal });
  area.addEventListener('wheel', wheel, { signal, passive: false });
  addEventListener('keydown', space(true), { signal });
  addEventListener('keyup', space(false), { signal });
  return () => {
    if (gesture.type === 'stroke') session.endStroke();
    ended.abort();
  };
}
