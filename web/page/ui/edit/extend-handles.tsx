import { useRef } from 'preact/hooks';
import type { EditSession } from '../../edit/edit-session.ts';
import { EDGES, type Edge, growthAt, marginsOf, nextGrowth } from '../../edit/frame.ts';
import { type Point, type Size, toScreen } from '../../edit/viewport.ts';
import { t } from '../../strings/strings.ts';

/** Which way each edge goes outwards. */
const OUTWARDS: Readonly<Record<Edge, Point>> = {
  left: { x: -1, y: 0 },
  up: { x: 0, y: -1 },
  right: { x: 1, y: 0 },
  down: { x: 0, y: 1 },
};

/** Handles stand so far outside of the picture, so that its edge can be painted on. */
const HANDLE_DISTANCE = 16;

/** A drag shorter than this is a click. */
const CLICK_PIXELS = 4;

function middleOf(edge: Edge, { width, height }: Size): Point {
  const { x, y } = OUTWARDS[edge];
  return { x: ((x + 1) / 2) * width, y: ((y + 1) / 2) * height };
}

function Handle({ edge, session }: { edge: Edge; session: EditSession }) {
  const drag = useRef<{ from: Point; hasMoved: boolean } | null>(null);
  const size = session.size.value;
  if (!size) return null;
  const out = OUTWARDS[edge];
  const middle = toScreen(session.view.value, middleOf(edge, size));
  const x = middle.x + out.x * HANDLE_DISTANCE;
  const y = middle.y + out.y * HANDLE_DISTANCE;

  function growthOf(event: PointerEvent, from: Point, current: Size): number {
    const moved = (event.clientX - from.x) * out.x + (event.clientY - from.y) * out.y;
    return growthAt(current, edge, moved / session.view.peek().scale);
  }

  function drop(isCancelled: boolean): void {
    const growth = session.growth.peek();
    session.growth.value = null;
    if (!isCancelled && growth) session.grow(edge, growth.pixels);
  }

  return (
    <button
      type="button"
      class={`extend extend-${edge}`}
      title={t.edit.extendTitle}
      style={{ transform: `translate(-50%, -50%) translate(${x}px, ${y}px)` }}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        drag.current = { from: { x: event.clientX, y: event.clientY }, hasMoved: false };
      }}
      onPointerMove={(event) => {
        const held = drag.current;
        if (!held) return;
        const { x: fromX, y: fromY } = held.from;
        held.hasMoved ||= Math.hypot(event.clientX - fromX, event.clientY - fromY) > CLICK_PIXELS;
        if (held.hasMoved) {
          session.growth.value = { edge, pixels: growthOf(event, held.from, size) };
        }
      }}
      onPointerUp={() => drop(false)}
      onPointerCancel={() => {
        drop(true);
        drag.current = null;
      }}
      onClick={() => {
        // A drag ends in a click too; it has grown the frame already.
        if (!drag.current?.hasMoved) session.grow(edge, nextGrowth(size, edge));
        drag.current = null;
      }}
    >
      <span class="visually-hidden">{t.edit.extend[edge]}</span>
    </button>
  );
}

/** One handle at each edge: dragged outwards, or pressed, it makes room that is painted on from the picture. */
export function ExtendHandles({ session }: { session: EditSession }) {
  return (
    <>
      {EDGES.map((edge) => (
        <Handle key={edge} edge={edge} session={session} />
      ))}
    </>
  );
}

/** The frame as it would be if the edge were let go now. */
export function GrowthOutline({ session }: { session: EditSession }) {
  const [growth, size] = [session.growth.value, session.size.value];
  if (!growth || !size) return null;
  const margins = marginsOf(growth.edge, growth.pixels);
  const { scale } = session.view.value;
  const { x, y } = toScreen(session.view.value, { x: -margins.left, y: -margins.up });
  const width = size.width + margins.left + margins.right;
  const height = size.height + margins.up + margins.down;
  return (
    <div
      class="growth"
      style={{
        transform: `translate(${x}px, ${y}px)`,
        width: `${width * scale}px`,
        height: `${height * scale}px`,
      }}
    >
      <span>{t.edit.size(width, height)}</span>
    </div>
  );
}
