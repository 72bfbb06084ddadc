import { useSignalEffect } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { selectRange, toggleSelected } from '../gallery-selection.ts';
import type { PictureInfo } from '../picture.ts';
import { t } from '../strings/strings.ts';
import { type GridMetrics, visibleWindow } from '../visible-rows.ts';
import { useApp } from './context.ts';
import { useObjectUrl } from './use-object-url.ts';

const MIN_CELL_SIZE = 150;
const GAP = 10;
const OVERSCAN = 3;
/** A cell that is flung past is not worth reading a picture for. */
const REST_MS = 80;

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

/** The small picture, once the cell has been in sight for a moment; `missing` where its file cannot be had. */
function useThumb(id: string): Blob | 'missing' | null {
  const { galleryStore } = useApp();
  const [blob, setBlob] = useState<Blob | 'missing' | null>(null);
  useEffect(() => {
    let isShown = true;
    setBlob(null);
    const load = async () => (await galleryStore.thumb(id)) ?? (await galleryStore.file(id));
    const timer = setTimeout(() => {
      load().then(
        (found) => isShown && setBlob(found ?? 'missing'),
        () => isShown && setBlob('missing'),
      );
    }, REST_MS);
    return () => {
      isShown = false;
      clearTimeout(timer);
    };
  }, [id, galleryStore]);
  return blob;
}

/** True while a picture is selected; a cell is drawn anew only when its own answer changes. */
function useIsSelected(id: string): boolean {
  const { ids } = useApp().state.gallery.selection;
  const [isSelected, setSelected] = useState(ids.peek().has(id));
  useSignalEffect(() => setSelected(ids.value.has(id)));
  useEffect(() => setSelected(ids.peek().has(id)), [id, ids]);
  return isSelected;
}

function GridCell({ picture, size }: { picture: PictureInfo; size: number }) {
  const { gallery } = useApp().state;
  const { id, prompt } = picture;
  const thumb = useThumb(id);
  const [isBroken, setBroken] = useState(false);
  const url = useObjectUrl(thumb instanceof Blob ? thumb : null);
  const isSelected = useIsSelected(id);
  const open = (event: MouseEvent) => {
    if (event.shiftKey) selectRange(gallery.selection, gallery.matching, id);
    else if (event.ctrlKey || event.metaKey) toggleSelected(gallery.selection, id);
    else gallery.openId.value = id;
  };
  return (
    <li class={isSelected ? 'grid-item selected' : 'grid-item'}>
      <button
        type="button"
        class="grid-cell"
        style={{ width: `${size}px`, height: `${size}px` }}
        onClick={open}
      >
        {url && !isBroken && (
          <img src={url} alt="" decoding="async" onError={() => setBroken(true)} />
        )}
        {(isBroken || thumb === 'missing') && <span class="grid-broken">{t.gallery.broken}</span>}
        <span class="visually-hidden">{t.gallery.open(prompt)}</span>
      </button>
      <input
        type="checkbox"
        class="grid-check"
        aria-label={t.gallery.select(prompt)}
        checked={isSelected}
        onClick={(event) => {
          if (!event.shiftKey) return toggleSelected(gallery.selection, id);
          event.preventDefault();
          selectRange(gallery.selection, gallery.matching, id);
        }}
      />
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
          aria-label={t.gallery.title}
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
