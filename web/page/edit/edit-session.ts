import { batch, computed, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { GENERATION_LIMITS } from '../../../protocol/generation.ts';
import { type FileProblem, MAX_PICTURE_BYTES } from '../init-picture.ts';
import { type EditStore, LAYERS, type LayerName } from './edit-store.ts';
import { type Edge, marginsOf } from './frame.ts';
import { type Change, History } from './history.ts';
import { type Brush, Layers } from './layers.ts';
import type { Point, Size, Viewport } from './viewport.ts';

/** Undo holds at most this much. */
const HISTORY_BYTES = 256 * 1024 * 1024;
/** After a change the canvas is kept so long later, unless another change comes. */
const SAVE_DELAY_MS = 400;
const MIN_BRUSH = 1;
const MAX_BRUSH = 512;

/** A sentence that the page shows beside the canvas. */
export type EditNote = FileProblem | 'shrunk' | 'not-kept' | 'not-restored';

/**
 * The canvas of Edit with its tools: layers, undo, and keeping it all over a reload. It outlives the view, so that
 * looking at another one costs nothing.
 */
export class EditSession {
  readonly layers = new Layers();
  /** Null without a picture. */
  readonly size: Signal<Size | null> = signal(null);
  readonly view: Signal<Viewport> = signal({ scale: 1, x: 0, y: 0 });
  readonly layer: Signal<Brush['layer']> = signal('mask');
  readonly isEraser = signal(false);
  readonly brushSize = signal(64);
  readonly color = signal('#d04030');
  readonly showsSoftEdge = signal(true);
  readonly hasMask = signal(false);
  readonly hasPaint = signal(false);
  readonly canUndo = signal(false);
  readonly canRedo = signal(false);
  readonly isDrawing = signal(false);
  readonly note: Signal<EditNote | null> = signal(null);
  /** False while what was kept is being read. */
  readonly isReady = signal(false);
  /** Whether everything on the canvas would survive a reload now. */
  readonly isKept = signal(true);
  readonly hasPicture: ReadonlySignal<boolean> = computed(() => this.size.value !== null);

  readonly #history = new History(HISTORY_BYTES);
  /** Where the brush is, in pixels of the picture; null while it is elsewhere. */
  readonly cursor: Signal<Point | null> = signal(null);
  /** How far the frame would grow if the edge were let go now. */
  readonly growth: Signal<{ edge: Edge; pixels: number } | null> = signal(null);

  readonly #store: EditStore;
  readonly #onSize: (size: Size) => void;
  #strokeLayer: Brush['layer'] = 'mask';
  readonly #stale = new Set<LayerName>(LAYERS);
  readonly #saved: Partial<Record<LayerName, Blob>> = {};
  /** One reading or writing at a time, in order. */
  #queue: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** `onSize` hears of every new size but the one that was kept. */
  constructor(store: EditStore, onSize: (size: Size) => void) {
    this.#store = store;
    this.#onSize = onSize;
    void this.#enqueue(() => this.#restore());
  }

  /** Makes a picture the canvas; says in `note` why where it cannot. Resolves with its size, or null. */
  putPicture(file: Blob): Promise<Size | null> {
    return this.#enqueue(async () => {
      if (file.size > MAX_PICTURE_BYTES) {
        this.note.value = 'too-large';
        return null;
      }
      let bitmap: ImageBitmap;
      try {
        bitmap = await createImageBitmap(file);
      } catch {
        this.note.value = 'not-a-picture';
        return null;
      }
      const { maxSide } = GENERATION_LIMITS;
      const scale = Math.min(1, maxSide / Math.max(bitmap.width, bitmap.height));
      const shrink = (side: number) => Math.max(1, Math.round(side * scale));
      const size = { width: shrink(bitmap.width), height: shrink(bitmap.height) };
      this.#commit(this.layers.setPicture(bitmap, size));
      bitmap.close();
      this.note.value = scale < 1 ? 'shrunk' : null;
      return size;
    });
  }

  /** A white canvas to paint on. */
  putBlank(size: Size): void {
    this.#commit(this.layers.setBlank(size));
    this.note.value = null;
  }

  /** A stroke of one point. */
  stamp(at: Point): void {
    this.beginStroke(at);
    this.endStroke();
  }

  beginStroke(at: Point): void {
    const [layer, isEraser] = [this.layer.value, this.isEraser.value];
    this.isDrawing.value = true;
    this.#strokeLayer = layer;
    this.layers.beginStroke(
      { layer, isEraser, size: this.brushSize.value, color: this.color.value },
      at,
    );
  }

  endStroke(): void {
    this.isDrawing.value = false;
    const change = this.layers.endStroke();
    if (change) this.#commit(change, [this.#strokeLayer]);
  }

  dropStroke(): void {
    this.isDrawing.value = false;
    this.layers.dropStroke();
  }

  invertMask(): void {
    this.#commit(this.layers.invertMask(), ['mask']);
  }

  clear(layer: Brush['layer']): void {
    this.#commit(this.layers.clear(layer), [layer]);
  }

  grow(edge: Edge, pixels: number): void {
    if (pixels > 0) this.#commit(this.layers.grow(marginsOf(edge, pixels)));
  }

  undo(): void {
    if (!this.isDrawing.value && this.#history.undo()) this.#changed(LAYERS);
  }

  redo(): void {
    if (!this.isDrawing.value && this.#history.redo()) this.#changed(LAYERS);
  }

  /** A brush by a fifth larger or smaller. */
  stepBrush(direction: 1 | -1): void {
    const size = this.brushSize.value;
    const step = Math.max(1, Math.round(size / 5));
    this.setBrush(size + direction * step);
  }

  setBrush(size: number): void {
    if (Number.isFinite(size)) {
      this.brushSize.value = Math.min(MAX_BRUSH, Math.max(MIN_BRUSH, Math.round(size)));
    }
  }

  /** Keeps the canvas at once, as a page does that is about to go. */
  flush(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    void this.#enqueue(() => this.#save());
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  #commit(change: Change, layers: readonly LayerName[] = LAYERS): void {
    this.#history.push(change);
    this.#changed(layers);
  }

  #changed(layers: readonly LayerName[]): void {
    for (const layer of layers) this.#stale.add(layer);
    batch(() => {
      const { width, height } = this.layers.size;
      // An untouched canvas has one pixel: undo can lead back to it.
      const isThere = width > 1 || height > 1;
      const before = this.size.value;
      if (!isThere) this.size.value = null;
      else if (before?.width !== width || before.height !== height) {
        this.size.value = { width, height };
        this.#onSize({ width, height });
      }
      if (layers.includes('mask')) this.hasMask.value = isThere && !this.layers.isEmpty('mask');
      if (layers.includes('paint')) this.hasPaint.value = isThere && !this.layers.isEmpty('paint');
      this.canUndo.value = this.#history.canUndo;
      this.canRedo.value = this.#history.canRedo;
      this.isKept.value = false;
    });
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), SAVE_DELAY_MS);
  }

  async #restore(): Promise<void> {
    try {
      const kept = await this.#store.load();
      if (kept) await this.#show(kept);
    } catch {
      this.note.value = 'not-restored';
    }
    this.isReady.value = true;
  }

  async #show({ width, height, layers }: Size & { layers: Record<LayerName, Blob> }) {
    const [picture, paint, mask] = await Promise.all(
      LAYERS.map((name) => createImageBitmap(layers[name])),
    );
    if (!picture || !paint || !mask) return;
    this.layers.restore({ width, height }, { picture, paint, mask });
    Object.assign(this.#saved, layers);
    this.#stale.clear();
    batch(() => {
      this.size.value = { width, height };
      this.hasMask.value = !this.layers.isEmpty('mask');
      this.hasPaint.value = !this.layers.isEmpty('paint');
    });
  }

  /** Encodes what changed, then writes all: three layers and a size that belong together. */
  async #save(): Promise<void> {
    try {
      const size = this.size.value;
      if (!size) await this.#store.clear();
      else {
        const stale = [...this.#stale];
        this.#stale.clear();
        const encoded = await Promise.all(stale.map((name) => this.layers.toPng(name)));
        for (const [index, blob] of encoded.entries()) {
          const name = stale[index];
          if (name) this.#saved[name] = blob;
        }
        const { picture, paint, mask } = this.#saved;
        if (picture && paint && mask) {
          await this.#store.save({ ...size, layers: { picture, paint, mask } });
        }
      }
      if (this.#timer === null) this.isKept.value = true;
      if (this.note.value === 'not-kept') this.note.value = null;
    } catch {
      for (const name of LAYERS) this.#stale.add(name);
      this.note.value = 'not-kept';
    }
  }
}
