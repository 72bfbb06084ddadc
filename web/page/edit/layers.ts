import { LAYERS, type LayerName } from './edit-store.ts';
import { EDGES, type Edge, grownSize, type Margins } from './frame.ts';
import type { Change } from './history.ts';
import type { Point, Size } from './viewport.ts';

/** What the mask's canvas is painted with; the style sheet lets the picture through. */
const MASK_COLOR = '#4b4bd8';

export interface Brush {
  readonly layer: 'paint' | 'mask';
  readonly isEraser: boolean;
  /** Diameter in pixels of the picture. */
  readonly size: number;
  /** Of the paint layer, as `#rrggbb`. */
  readonly color: string;
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

interface Stroke {
  readonly brush: Brush;
  /** The layer as it was. */
  readonly before: HTMLCanvasElement;
  readonly box: Box;
}

type Contents = Size & Readonly<Record<LayerName, HTMLCanvasElement>>;

function createCanvas({ width, height }: Size): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  return canvas;
}

/** The canvas's context; the browser has none once it is out of graphics memory. */
function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext('2d');
  if (!context) throw new Error('The browser has no memory left for another canvas.');
  return context;
}

function copyOf(canvas: HTMLCanvasElement): HTMLCanvasElement {
  const copy = createCanvas(canvas);
  contextOf(copy).drawImage(canvas, 0, 0);
  return copy;
}

function toPng(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) =>
      blob ? resolve(blob) : reject(new Error('The browser could not encode the canvas.')),
    );
  });
}

/**
 * Picture, paint over it, and mask, as three canvases of one size that lie above each other on the page. Each
 * change comes back as something that can be undone.
 */
export class Layers {
  readonly canvases: Readonly<Record<LayerName, HTMLCanvasElement>>;
  #stroke: Stroke | null = null;

  constructor() {
    const empty = { width: 1, height: 1 };
    this.canvases = {
      picture: createCanvas(empty),
      paint: createCanvas(empty),
      mask: createCanvas(empty),
    };
  }

  get size(): Size {
    const { width, height } = this.canvases.picture;
    return { width, height };
  }

  /** A picture of any size becomes the canvas; transparent parts become white, paint and mask go. */
  setPicture(picture: CanvasImageSource, size: Size): Change {
    return this.#changeAll(() => {
      const context = this.#whiten(size);
      context.imageSmoothingQuality = 'high';
      context.drawImage(picture, 0, 0, size.width, size.height);
    });
  }

  /** A white canvas; paint and mask go. */
  setBlank(size: Size): Change {
    return this.#changeAll(() => {
      this.#whiten(size);
    });
  }

  /** Puts back what was kept; nothing to undo. */
  restore(size: Size, pictures: Readonly<Record<LayerName, CanvasImageSource>>): void {
    this.#resize(size);
    for (const name of LAYERS) contextOf(this.canvases[name]).drawImage(pictures[name], 0, 0);
  }

  /** A larger frame: the new part is masked, and begins with the colours of the picture's edge. */
  grow(margins: Margins): Change {
    return this.#changeAll((before) => {
      const size = grownSize(before, margins);
      const { left, up } = margins;
      this.#resize(size);
      this.#stretchEdges(before.picture, margins);
      for (const name of LAYERS) contextOf(this.canvases[name]).drawImage(before[name], left, up);
      const mask = contextOf(this.canvases.mask);
      mask.fillStyle = MASK_COLOR;
      for (const edge of EDGES) mask.fillRect(...strip(edge, size, margins));
    });
  }

  invertMask(): Change {
    return this.#changeLayer('mask', (context, before) => {
      const { width, height } = this.size;
      context.clearRect(0, 0, width, height);
      context.fillStyle = MASK_COLOR;
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = 'destination-out';
      context.drawImage(before, 0, 0);
    });
  }

  clear(layer: Brush['layer']): Change {
    return this.#changeLayer(layer, (context) => {
      context.clearRect(0, 0, this.size.width, this.size.height);
    });
  }

  beginStroke(brush: Brush, at: Point): void {
    const before = copyOf(this.canvases[brush.layer]);
    const box = { left: at.x, top: at.y, right: at.x, bottom: at.y };
    this.#stroke = { brush, before, box };
    this.strokeTo(at, at);
  }

  strokeTo(from: Point, to: Point): void {
    if (!this.#stroke) return;
    const { brush, box } = this.#stroke;
    const context = contextOf(this.canvases[brush.layer]);
    context.save();
    context.globalCompositeOperation = brush.isEraser ? 'destination-out' : 'source-over';
    const color = brush.layer === 'mask' ? MASK_COLOR : brush.color;
    context.beginPath();
    if (from.x === to.x && from.y === to.y) {
      // A line without length has no ends that could be round: nothing would be drawn.
      context.fillStyle = color;
      context.arc(to.x, to.y, brush.size / 2, 0, 2 * Math.PI);
      context.fill();
    } else {
      context.strokeStyle = color;
      context.lineWidth = brush.size;
      context.lineCap = 'round';
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      context.stroke();
    }
    context.restore();
    const reach = brush.size / 2 + 1;
    box.left = Math.min(box.left, to.x - reach);
    box.top = Math.min(box.top, to.y - reach);
    box.right = Math.max(box.right, to.x + reach);
    box.bottom = Math.max(box.bottom, to.y + reach);
  }

  /** Null where nothing of the stroke lay on the canvas. */
  endStroke(): Change | null {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (!stroke) return null;
    const { width, height } = this.size;
    const left = Math.max(0, Math.floor(stroke.box.left));
    const top = Math.max(0, Math.floor(stroke.box.top));
    const w = Math.min(width, Math.ceil(stroke.box.right)) - left;
    const h = Math.min(height, Math.ceil(stroke.box.bottom)) - top;
    if (w <= 0 || h <= 0) return null;
    const context = contextOf(this.canvases[stroke.brush.layer]);
    const before = contextOf(stroke.before).getImageData(left, top, w, h);
    const after = context.getImageData(left, top, w, h);
    return {
      bytes: before.data.length + after.data.length,
      undo: () => context.putImageData(before, left, top),
      redo: () => context.putImageData(after, left, top),
    };
  }

  /** Takes a stroke back that became something else: a second finger came down. */
  dropStroke(): void {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (!stroke) return;
    const context = contextOf(this.canvases[stroke.brush.layer]);
    context.clearRect(0, 0, this.size.width, this.size.height);
    context.drawImage(stroke.before, 0, 0);
  }

  isEmpty(layer: Brush['layer']): boolean {
    const { width, height } = this.size;
    const { data } = contextOf(this.canvases[layer]).getImageData(0, 0, width, height);
    for (let i = 3; i < data.length; i += 4) if (data[i] !== 0) return false;
    return true;
  }

  toPng(layer: LayerName): Promise<Blob> {
    return toPng(this.canvases[layer]);
  }

  /** Picture and paint as one PNG. */
  flattened(): Promise<Blob> {
    const all = copyOf(this.canvases.picture);
    contextOf(all).drawImage(this.canvases.paint, 0, 0);
    return toPng(all);
  }

  /** The mask as jobs take it, a PNG: white is redrawn, black stays. */
  jobMask(): Promise<Blob> {
    const { width, height } = this.size;
    const mask = copyOf(this.canvases.mask);
    const context = contextOf(mask);
    context.globalCompositeOperation = 'source-in';
    context.fillStyle = '#ffffff';
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = 'destination-over';
    context.fillStyle = '#000000';
    context.fillRect(0, 0, width, height);
    return toPng(mask);
  }

  #resize({ width, height }: Size): void {
    // Setting a size empties the canvas, also where it is the old one.
    for (const name of LAYERS) Object.assign(this.canvases[name], { width, height });
  }

  #whiten(size: Size): CanvasRenderingContext2D {
    this.#resize(size);
    const context = contextOf(this.canvases.picture);
    context.fillStyle = '#ffffff';
    context.fillRect(0, 0, size.width, size.height);
    return context;
  }

  #contents(): Contents {
    const { picture, paint, mask } = this.canvases;
    return { ...this.size, picture: copyOf(picture), paint: copyOf(paint), mask: copyOf(mask) };
  }

  #changeAll(change: (before: Contents) => void): Change {
    const before = this.#contents();
    change(before);
    const after = this.#contents();
    return {
      bytes: 12 * (before.width * before.height + after.width * after.height),
      undo: () => this.restore(before, before),
      redo: () => this.restore(after, after),
    };
  }

  #changeLayer(
    layer: Brush['layer'],
    change: (context: CanvasRenderingContext2D, before: HTMLCanvasElement) => void,
  ): Change {
    const { width, height } = this.size;
    const context = contextOf(this.canvases[layer]);
    const before = copyOf(this.canvases[layer]);
    context.save();
    change(context, before);
    context.restore();
    const after = copyOf(this.canvases[layer]);
    const show = (canvas: HTMLCanvasElement) => {
      context.clearRect(0, 0, width, height);
      context.drawImage(canvas, 0, 0);
    };
    return {
      bytes: 8 * width * height,
      undo: () => show(before),
      redo: () => show(after),
    };
  }

  /** Fills the new part by drawing the outermost pixels of the old picture out to the frame. */
  #stretchEdges(old: HTMLCanvasElement, { left, up, right, down }: Margins): void {
    const context = contextOf(this.canvases.picture);
    const { width: w, height: h } = old;
    const columns = [
      [0, 1, 0, left],
      [0, w, left, w],
      [w - 1, 1, left + w, right],
    ] as const;
    const rows = [
      [0, 1, 0, up],
      [0, h, up, h],
      [h - 1, 1, up + h, down],
    ] as const;
    context.imageSmoothingEnabled = false;
    for (const [sx, sw, dx, dw] of columns) {
      for (const [sy, sh, dy, dh] of rows) {
        if (dw > 0 && dh > 0) context.drawImage(old, sx, sy, sw, sh, dx, dy, dw, dh);
      }
    }
    context.imageSmoothingEnabled = true;
  }
}

/** x, y, width and height of what is new at one edge. */
function strip(
  edge: Edge,
  { width, height }: Size,
  { left, up, right, down }: Margins,
): [number, number, number, number] {
  switch (edge) {
    case 'left':
      return [0, 0, left, height];
    case 'right':
      return [width - right, 0, right, height];
    case 'up':
      return [0, 0, width, up];
    case 'down':
      return [0, height - down, width, down];
  }
}
