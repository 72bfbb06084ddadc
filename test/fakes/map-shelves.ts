import type { GalleryShelves, Shelf } from '../../web/page/gallery-store.ts';

/** A shelf in memory; `refuses` makes every write fail, as a full disk does. */
export class MapShelf implements Shelf {
  readonly values = new Map<string, unknown>();
  refuses = false;

  async get(id: string): Promise<unknown> {
    return this.values.get(id);
  }

  async set(id: string, value: unknown): Promise<void> {
    if (this.refuses) throw new DOMException('full', 'QuotaExceededError');
    this.values.set(id, value);
  }

  async delete(ids: readonly string[]): Promise<void> {
    if (this.refuses) throw new DOMException('blocked', 'InvalidStateError');
    for (const id of ids) this.values.delete(id);
  }

  async entries(): Promise<ReadonlyArray<readonly [string, unknown]>> {
    return [...this.values];
  }
}

export function mapShelves(): { [Name in keyof GalleryShelves]: MapShelf } {
  return { index: new MapShelf(), files: new MapShelf(), thumbs: new MapShelf() };
}
