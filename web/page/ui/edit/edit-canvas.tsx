import { useSignalEffect } from '@preact/signals';
import { useCallback, useEffect, useRef } from 'preact/hooks';
import type { EditSession } from '../../edit/edit-session.ts';
import { LAYERS } from '../../edit/edit-store.ts';
import { isTyping, steerCanvas, steerHistory } from '../../edit/keys.ts';
import { followPointers } from '../../edit/pointers.ts';
import { fitInto, toScreen } from '../../edit/viewport.ts';
import { t } from '../../strings/strings.ts';
import { useApp } from '../context.ts';
import { ExtendHandles, GrowthOutline } from './extend-handles.tsx';

/** Room around a fitted picture, for the handles at its edges. */
const FIT_MARGIN = 36;

/** The size of the ring is the brush's; it follows the pointer, or the arrow keys. */
function BrushRing({ session }: { session: EditSession }) {
  const ring = useRef<HTMLDivElement>(null);
  useSignalEffect(() => {
    const element = ring.current;
    const [cursor, view, size] = [
      session.cursor.value,
      session.view.value,
      session.brushSize.value,
    ];
    if (!element) return;
    element.hidden = cursor === null || session.size.value === null;
    if (!cursor) return;
    const { x, y } = toScreen(view, cursor);
    const across = Math.max(4, size * view.scale);
    element.style.width = `${across}px`;
    element.style.height = `${across}px`;
    element.style.transform = `translate(${x - across / 2}px, ${y - across / 2}px)`;
  });
  return <div ref={ring} class="brush-ring" hidden={true} />;
}

/** The layers above each other, moved and scaled as a whole, so that the browser composes them. */
function Frame({ session }: { session: EditSession }) {
  const { state } = useApp();
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    for (const name of LAYERS) {
      const canvas = session.layers.canvases[name];
      canvas.className = `layer-${name}`;
      frame.current?.append(canvas);
    }
  }, [session]);
  useSignalEffect(() => {
    const element = frame.current;
    const { scale, x, y } = session.view.value;
    const size = session.size.value;
    if (!element) return;
    element.hidden = size === null;
    element.style.width = `${size?.width ?? 0}px`;
    element.style.height = `${size?.height ?? 0}px`;
    element.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  });
  useSignalEffect(() => {
    const blur = Number(state.form.maskBlur.value);
    const isSoft = session.showsSoftEdge.value && !session.isDrawing.value && blur > 0;
    // A CSS blur is the Gaussian that the engine softens the mask with, but for the frame's edge, where the engine
    // does not fade out. Not while drawing, where it costs frames.
    session.layers.canvases.mask.style.filter = isSoft ? `blur(${blur}px)` : '';
  });
  return <div ref={frame} class="edit-frame" />;
}

/** Keeps the picture in sight: fitted when its size or the room for it changes. Returns the fitting. */
function useFit(session: EditSession, area: { readonly current: HTMLElement | null }): () => void {
  const showWhole = useCallback(() => {
    const [element, size] = [area.current, session.size.peek()];
    if (!element || !size || element.clientWidth === 0) return;
    const box = { width: element.clientWidth, height: element.clientHeight };
    session.view.value = fitInto(size, box, FIT_MARGIN);
  }, [session, area]);
  useSignalEffect(() => {
    void session.size.value;
    showWhole();
  });
  useEffect(() => {
    const observer = new ResizeObserver(showWhole);
    if (area.current) observer.observe(area.current);
    return () => observer.disconnect();
  }, [showWhole, area]);
  return showWhole;
}

/** Where the picture is painted on. */
export function EditCanvas({ session, onFit }: EditCanvasProps) {
  const area = useRef<HTMLDivElement>(null);
  const showWhole = useFit(session, area);
  onFit.current = showWhole;
  useEffect(() => (area.current ? followPointers(area.current, session) : undefined), [session]);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (!isTyping(event.target) && steerHistory(session, event)) event.preventDefault();
    };
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, [session]);
  return (
    <div
      ref={area}
      class="edit-area"
      role="application"
      aria-label={t.edit.canvas}
      aria-describedby="edit-help"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: an application takes the keys itself.
      tabIndex={0}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget) return;
        const { clientWidth: width, clientHeight: height } = event.currentTarget;
        if (steerCanvas(session, event, { area: { width, height }, showWhole }))
          event.preventDefault();
      }}
    >
      <Frame session={session} />
      <GrowthOutline session={session} />
      <BrushRing session={session} />
      <ExtendHandles session={session} />
      <p id="edit-help" class="visually-hidden">
        {t.edit.canvasHelp}
      </p>
    </div>
  );
}

interface EditCanvasProps {
  readonly session: EditSession;
  /** Filled with what fits the picture into its area. */
  readonly onFit: { current: () => void };
}
