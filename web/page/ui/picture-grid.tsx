import { useSignalEffect } from '@preact/signals';
import type { ComponentChild } from 'preact';
import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { selectRange, toggleSelected } from '../gallery-selection.ts';
import type { PictureInfo } from '../picture.ts';
import { t } from '../strings/strings.ts';
import {
  type GridMetrics,
  type GridWindow,
  isSameWindow,
  placeOf,
  visibleWindow,
} from '../visible-rows.ts';
import { useApp } from './context.ts';
import { useObjectUrl } from './use-object-url.ts';

const MIN_CELL_SIZE = 150;
const GAP = 10;
const OVERSCAN = 3;
/** A cell that is flung past is not worth reading a picture for: so long it has to be in sight. */
const REST_MS = 80;
/** Nobody looks at pictures that pass by faster than so many windows a second. */
const FLUNG_WINDOWS = 2;

/** How the grid is scrolled. */
interface Pace {
  /** When it last went too fast to look at, on the clock of `performance.now`. */
  flungAt: number;
}

/** Notes the pace of scrolling, from one measurement to the next. */
function followPace(pace: Pace) {
  let last = { at: 0, scrolled: 0 };
  return ({ scrolled, windowHeight }: Measured) => {
    const now = performance.now();
    const windows = Math.abs(scrolled - last.scrolled) / windowHeight;
    if (windows / (now - last.at) > FLUNG_WINDOWS / 1000) pace.flungAt = now;
    last = { at: now, scrolled };
  };
}

type Measured = Pick<GridMetrics, 'width' | 'scrolled' | 'windowHeight'>;

/**
 * The part of a grid of so many cells that is in sight, null before it is measured; it is drawn anew only when that is
 * another one.
 */
function useVisibleWindow(
  itemCount: number,
  pace: Pace,
): [{ readonly current: HTMLDivElement | null }, GridWindow | null] {
  const ref = useRef<HTMLDivElement>(null);
  const measured = useRef<Measured | null>(null);
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const windowOf = () =>
    measured.current &&
    visibleWindow({
      ...measured.current,
      ...{ itemCount, minCellSize: MIN_CELL_SIZE, gap: GAP, overscan: OVERSCAN },
    });
  const drawn = windowOf();
  const latest = useRef({ drawn, windowOf });
  latest.current = { drawn, windowOf };
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    let frame = 0;
    const notePace = followPace(pace);
    const measure = () => {
      frame = 0;
      const { top, width } = element.getBoundingClientRect();
      measured.current = { width, scrolled: -top, windowHeight: innerHeight };
      notePace(measured.current);
      const [before, now] = [latest.current.drawn, latest.current.windowOf()];
      if (!before || !now || !isSameWindow(before, now)) redraw(0);
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
  }, [pace]);
  return [ref, drawn];
}

/** The small picture, once the cell has been in sight for a moment; `missing` where its file cannot be had. */
function useThumb(id: string, pace: Pace): Blob | 'missing' | null {
  const { galleryStore } = useApp();
  const [blob, setBlob] = useState<Blob | 'missing' | null>(null);
  useEffect(() => {
    let isShown = true;
    const load = async () => (await galleryStore.thumb(id)) ?? (await galleryStore.file(id));
    const begin = () => {
      const wait = pace.flungAt + REST_MS - performance.now();
      if (wait > 0) {
        timer = setTimeout(begin, wait);
        return;
      }
      load().then(
        (found) => isShown && setBlob(found ?? 'missing'),
        () => isShown && setBlob('missing'),
      );
    };
    let timer = setTimeout(begin, REST_MS);
    return () => {
      isShown = false;
      clearTimeout(timer);
    };
  }, [id, galleryStore, pace]);
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

interface GridCellProps {
  readonly picture: PictureInfo;
  readonly size: number;
  readonly left: number;
  readonly top: number;
  readonly pace: Pace;
}

function GridCell({ picture, size, left, top, pace }: GridCellProps) {
  const { gallery } = useApp().state;
  const { id, prompt } = picture;
  const thumb = useThumb(id, pace);
  const [isBroken, setBroken] = useState(false);
  const url = useObjectUrl(thumb instanceof Blob ? thumb : null);
  const isSelected = useIsSelected(id);
  const open = (event: MouseEvent) => {
    if (event.shiftKey) selectRange(gallery.selection, gallery.matching, id);
    else if (event.ctrlKey || event.metaKey) toggleSelected(gallery.selection, id);
    else gallery.openId.value = id;
  };
  return (
    <li
      class={isSelected ? 'grid-item selected' : 'grid-item'}
      style={{ left: `${left}px`, top: `${top}px`, width: `${size}px`, height: `${size}px` }}
    >
      <button type="button" class="grid-cell" onClick={open}>
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

interface DrawnCell {
  readonly props: GridCellProps;
  readonly cell: ComponentChild;
}

/** Draws cells; one that has not changed since is passed over when the grid is drawn anew. */
function useCells(): (props: GridCellProps) => ComponentChild {
  const before = useRef<ReadonlyMap<string, DrawnCell>>(new Map());
  const now = new Map<string, DrawnCell>();
  useEffect(() => {
    before.current = now;
  });
  return (props) => {
    const { picture, size, left, top } = props;
    const known = before.current.get(picture.id);
    const isSame =
      known?.props.picture === picture &&
      known.props.size === size &&
      known.props.left === left &&
      known.props.top === top;
    const drawn =
      known && isSame ? known : { props, cell: <GridCell key={picture.id} {...props} /> };
    now.set(picture.id, drawn);
    return drawn.cell;
  };
}

/** A grid that draws only what is in sight, each cell at its place in the whole. */
export function PictureGrid({ pictures }: { pictures: readonly PictureInfo[] }) {
  const { current: pace } = useRef<Pace>({ flungAt: Number.NEGATIVE_INFINITY });
  const [ref, view] = useVisibleWindow(pictures.length, pace);
  const cellOf = useCells();
  return (
    <div ref={ref} class="grid" style={{ height: `${view?.height ?? 0}px` }}>
      {view && (
        <ul aria-label={t.gallery.title}>
          {pictures.slice(view.from, view.to).map((picture, index) =>
            cellOf({
              ...{ picture, pace, size: view.cellSize },
              ...placeOf(view.from + index, view, GAP),
            }),
          )}
        </ul>
      )}
    </div>
  );
}
