import { type ReadonlySignal, type Signal, signal } from '@preact/signals';
import type { PictureInfo } from './picture.ts';

/** Which pictures of the gallery are selected. */
export interface GallerySelection {
  readonly ids: Signal<ReadonlySet<string>>;
  /** Where a range with Shift begins. */
  readonly anchor: Signal<string | null>;
}

export function createSelection(): GallerySelection {
  return { ids: signal<ReadonlySet<string>>(new Set()), anchor: signal<string | null>(null) };
}

/** Selects a picture, or takes it out. */
export function toggleSelected(selection: GallerySelection, id: string): void {
  const ids = new Set(selection.ids.value);
  if (!ids.delete(id)) ids.add(id);
  selection.ids.value = ids;
  selection.anchor.value = id;
}

/** Adds everything from the anchor to this picture, in the order shown. */
export function selectRange(
  selection: GallerySelection,
  shown: ReadonlySignal<readonly PictureInfo[]>,
  id: string,
): void {
  const list = shown.value;
  const at = list.findIndex((picture) => picture.id === id);
  const from = list.findIndex((picture) => picture.id === selection.anchor.value);
  if (at < 0) return;
  const start = from < 0 ? at : from;
  const range = list.slice(Math.min(start, at), Math.max(start, at) + 1);
  selection.ids.value = new Set([...selection.ids.value, ...range.map((picture) => picture.id)]);
  if (from < 0) selection.anchor.value = id;
}

export function selectAll(
  selection: GallerySelection,
  shown: ReadonlySignal<readonly PictureInfo[]>,
): void {
  selection.ids.value = new Set(shown.value.map(({ id }) => id));
}

export function clearSelection(selection: GallerySelection): void {
  selection.ids.value = new Set();
  selection.anchor.value = null;
}
