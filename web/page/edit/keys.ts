import type { EditSession } from './edit-session.ts';
import { type Point, type Size, zoomAt } from './viewport.ts';

const ZOOM_STEP = 1.25;

/** Enlarges about the middle of the canvas's area. */
export function zoomStep(session: EditSession, area: Size, direction: 1 | -1): void {
  const middle = { x: area.width / 2, y: area.height / 2 };
  session.view.value = zoomAt(session.view.peek(), middle, ZOOM_STEP ** direction);
}

/** Undo and redo; true where the key was one of them. They work wherever no text is typed. */
export function steerHistory(session: EditSession, event: KeyboardEvent): boolean {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return false;
  const key = event.key.toLowerCase();
  if (key === 'z' && !event.shiftKey) session.undo();
  else if (key === 'y' || (key === 'z' && event.shiftKey)) session.redo();
  else return false;
  return true;
}

/** True where text is typed, which has an undo and letters of its own. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !['range', 'checkbox', 'color'].includes(target.type))
  );
}

const ARROWS: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** The keys of the canvas while it has the focus: tools, brush, zoom, and painting without a pointer. */
export function steerCanvas(
  session: EditSession,
  event: KeyboardEvent,
  { area, showWhole }: { area: Size; showWhole: () => void },
): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const arrow = ARROWS[event.key];
  if (arrow) {
    moveCursor(session, arrow, event.shiftKey);
    return true;
  }
  const actions: Readonly<Record<string, () => void>> = {
    '[': () => session.stepBrush(-1),
    ']': () => session.stepBrush(1),
    b: () => (session.isEraser.value = false),
    e: () => (session.isEraser.value = true),
    m: () => (session.layer.value = 'mask'),
    c: () => (session.layer.value = 'paint'),
    '+': () => zoomStep(session, area, 1),
    '=': () => zoomStep(session, area, 1),
    '-': () => zoomStep(session, area, -1),
    '0': showWhole,
    enter: () => {
      if (session.cursor.value && session.hasPicture.value) session.stamp(session.cursor.value);
    },
  };
  const action = actions[event.key.toLowerCase()];
  action?.();
  return action !== undefined;
}

/** By half a brush, so that stamps overlap; finely with Shift. */
function moveCursor(session: EditSession, { x, y }: Point, isFine: boolean): void {
  const size = session.size.value;
  if (!size) return;
  const at = session.cursor.value ?? { x: size.width / 2, y: size.height / 2 };
  const step = isFine ? 1 : Math.max(1, session.brushSize.value / 2);
  session.cursor.value = {
    x: Math.min(size.width, Math.max(0, at.x + x * step)),
    y: Math.min(size.height, Math.max(0, at.y + y * step)),
  };
}
