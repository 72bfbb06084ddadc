import { GenerationError } from '../../../protocol/errors.ts';
import type { GenerationParams } from '../../../protocol/generation.ts';
import type { GenerationSummary } from '../../../protocol/job.ts';
import type { GenerateOptions } from '../../shared/engine.ts';
import type { EngineAccess } from '../browser-access.ts';
import { type GridLayout, layOutGrid, type MeasureText, type PlacedLine } from './grid-layout.ts';
import type { Pixels } from './pixels.ts';
import type { RgbaPixels } from './rgba.ts';

/** Larger pictures are not made: a canvas that size takes a quarter of a gigabyte. */
const MAX_PIXELS = 64 * 2 ** 20;
const MAX_SIDE = 16_384;

const BACKGROUND = '#ffffff';
const ACTIVE = '#000000';
const INACTIVE = '#999999';
const STRIKE_WIDTH = 4;

const fontOf = (size: number) => `${size}px system-ui, sans-serif`;

function contextOf(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context) return context;
  throw new GenerationError('internal', 'This browser gives the worker no canvas.');
}

function drawLine(context: OffscreenCanvasRenderingContext2D, line: PlacedLine): void {
  const color = line.isActive ? ACTIVE : INACTIVE;
  context.font = fontOf(line.fontSize);
  context.fillStyle = color;
  context.fillText(line.text, line.x, line.y);
  if (line.isActive) return;
  context.strokeStyle = color;
  context.lineWidth = STRIKE_WIDTH;
  context.beginPath();
  context.moveTo(line.x - line.width / 2, line.y);
  context.lineTo(line.x + line.width / 2, line.y);
  context.stroke();
}

function drawGrid(
  { width, height, cells, lines }: GridLayout,
  pictures: readonly (RgbaPixels | null)[],
  cell: { readonly width: number; readonly height: number },
): Pixels {
  const context = contextOf(width, height);
  context.fillStyle = BACKGROUND;
  context.fillRect(0, 0, width, height);
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  for (const line of lines) drawLine(context, line);
  context.fillStyle = ACTIVE;
  for (const [index, { x, y }] of cells.entries()) {
    const picture = pictures[index];
    if (picture) {
      const image = new ImageData(
        new Uint8ClampedArray(picture.data),
        picture.width,
        picture.height,
      );
      context.putImageData(image, x, y, 0, 0, cell.width, cell.height);
    } else {
      context.fillRect(x, y, cell.width, cell.height);
    }
  }
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < pixels.length; from += 4, to += 3) {
    pixels[to] = data[from] as number;
    pixels[to + 1] = data[from + 1] as number;
    pixels[to + 2] = data[from + 2] as number;
  }
  return { width, height, data: pixels };
}

/** Joins a job's pictures into one labelled picture; no model takes part. */
export async function runGridJob(
  params: GenerationParams,
  { signal, onImage }: GenerateOptions,
  { access }: { readonly access: Pick<EngineAccess, 'decodeImage' | 'encodeImage'> },
): Promise<GenerationSummary> {
  const startedAt = performance.now();
  const { grid, initImages, outputFormat: format } = params;
  if (!grid) throw new GenerationError('invalid-request', 'There is no grid to make.');
  const decoded: RgbaPixels[] = [];
  for (const [index, encoded] of initImages.entries()) {
    signal?.throwIfAborted();
    decoded.push(await access.decodeImage(encoded, `Picture ${index + 1} of the grid`));
  }
  const [first] = decoded;
  const cell = { width: first?.width ?? grid.cellWidth, height: first?.height ?? grid.cellHeight };
  const measuring = contextOf(1, 1);
  const measure: MeasureText = (text, size) => {
    measuring.font = fontOf(size);
    return measuring.measureText(text).width;
  };
  const layout = layOutGrid(grid, cell, measure);
  const { width, height } = layout;
  if (width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS) {
    throw new GenerationError(
      'invalid-request',
      `The grid would be ${width}×${height} pixels, which is more than is made: ask for fewer or smaller pictures.`,
    );
  }
  const placed = grid.cells.map((index) => (index === null ? null : (decoded[index] ?? null)));
  const pixels = drawGrid(layout, placed, cell);
  const bytes = await access.encodeImage(pixels, format, grid.infotext, params);
  onImage?.({
    ...{ index: 0, format, bytes, infotext: grid.infotext, width, height },
    ...{ prompt: params.prompt, negativePrompt: params.negativePrompt },
    ...{ seed: params.seed, subseed: params.subseed },
  });
  return {
    ...{ interrupted: false, width, height, checkpoint: '', checkpointHash: null, clipSkip: 1 },
    extraParams: {},
    notes: [...params.notes],
    timings: {
      ...{ totalSeconds: (performance.now() - startedAt) / 1000, loadSeconds: 0 },
      ...{ encodeSeconds: 0, sampleSeconds: 0, decodeSeconds: 0, runSeconds: 0 },
      ...{ readBacks: 0, uploads: 0, uploadedBytes: 0 },
    },
  };
}
