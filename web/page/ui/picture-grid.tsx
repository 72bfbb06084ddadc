import { useEffect, useRef, useState } from 'preact/hooks';
import type { PictureInfo } from '../picture.ts';
import { t } from '../strings/strings.ts';
import { type GridMetrics, visibleWindow } from '../visible-rows.ts';
import { useApp } from './context.ts';
import { useObjectUrl } from './use-object-url.ts';

const MIN_CELL_SIZE = 150;
const GAP = 10;
const OVERSCAN = 3;

type Measured = Pick<GridMetrics, 'width' | 'scrolled' | 'windowHeight'>;

/** Width and scroll position of an element, followed while it is on the page. */
function useMeasured(): [{ readonly current: HTMLDivElement | null }, Measured] {
  const ref = useRef<HTMLDivElement>(null);
  const [measured, setMeasured] = useState<Measured>({ width: 0, scrolled: 0, windowHeight: 0 });
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    let frame = 0;
    const measure = () => {
      frame = 0;
      const { top, width } = element.getBoundingClientRect();
      setMeasured({ width, scrolled: -top, windowHeight: innerHeight });
    };
    const schedule = () => {
      if (frame === 0) frame = requestAnimationFrame(measure);
    };
    const observer = new ResizeObserver(schedule);
    observer.observe(element);
    addEventListener('scroll', schedule, { passive: true });
    addEventListener('resize', schedule);
    measure();
    return () => {
      cancelAnimationFrame(frame);
      observer.disconnect();
      removeEventListener('scroll', schedule);
      removeEventListener('resize', schedule);
    };
  }, []);
  return [ref, measured];
}

function GridCell({ picture, size }: { picture: PictureInfo; size: number }) {
  const { state, galleryStore } = useApp();
  const [blob, setBlob] = useState<Blob | null>(null);
  const { id } = picture;
  useEffect(() => {
    let isShown = true;
    const load = async () => (await galleryStore.thumb(id)) ?? (await galleryStore.file(id));
    load().then(
      (found) => isShown && setBlob(found),
      () => isShown && setBlob(null),
    );
    return () => {
      isShown = false;
    };
  }, [id, galleryStore]);
  const url = useObjectUrl(blob);
  return (
    <li>
      <button
        type="button"
        class="grid-cell"
        style={{ width: `${size}px`, height: `${size}px` }}
        onClick={() => {
          state.gallery.openId.value = id;
        }}
      >
        {url && <img src={url} alt="" />}
        <span class="visually-hidden">{t.gallery.open(picture.prompt)}</span>
      </button>
    </li>
  );
}

/** A grid that draws only what is in sight. */
export function PictureGrid({ pictures }: { pictures: readonly PictureInfo[] }) {
  const [ref, measured] = useMeasured();
  const view = visibleWindow({
    ...measured,
    itemCount: pictures.length,
    minCellSize: MIN_CELL_SIZE,
    gap: GAP,
    overscan: OVERSCAN,
  });
  return (
    <div ref={ref} class="grid" style={{ height: `${view.height}px` }}>
      {measured.width > 0 && (
        <ul
          style={{
            transform: `translateY(${view.offset}px)`,
            gridTemplateColumns: `repeat(${view.columns}, ${view.cellSize}px)`,
          }}
        >
          {pictures.slice(view.from, view.to).map((picture) => (
            <GridCell key={picture.id} picture={picture} size={view.cellSize} />
          ))}
        </ul>
      )}
    </div>
  );
}
