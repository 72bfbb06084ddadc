import type { Page } from 'playwright';

/** What a look at the store of compiled models found. */
export interface StoreState {
  readonly manifests: number;
  /** Chunks that a manifest names and that are missing or have other bytes. */
  readonly broken: readonly string[];
  /** Chunks that no manifest names: what a write leaves that was broken off. */
  readonly orphans: number;
}

/** What IndexedDB holds, looked at from outside of the page's own code. */
export function inspectStore(page: Page): Promise<StoreState> {
  return page.evaluate(async () => {
    const open = indexedDB.open('easel-models');
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      open.onsuccess = () => resolve(open.result);
      open.onerror = () => reject(open.error);
    });
    if (!database.objectStoreNames.contains('entries')) {
      database.close();
      return { manifests: 0, broken: [], orphans: 0 };
    }
    const all = async (what: 'getAll' | 'getAllKeys') => {
      const request = database.transaction('entries').objectStore('entries')[what]();
      return new Promise<unknown[]>((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    };
    const [keys, values] = [(await all('getAllKeys')) as string[], await all('getAll')];
    database.close();
    const entries = new Map(keys.map((key, i) => [key, values[i]]));
    const broken: string[] = [];
    const known = new Set<string>();
    for (const [key, value] of entries) {
      if (!key.startsWith('manifest:')) continue;
      const { chunkSha256 } = value as { chunkSha256: Record<string, string> };
      for (const [place, expected] of Object.entries(chunkSha256)) {
        const chunkKey = `chunk:${key.slice('manifest:'.length)}:${place}`;
        known.add(chunkKey);
        const chunk = entries.get(chunkKey);
        if (!(chunk instanceof Blob)) {
          broken.push(`${chunkKey} is missing`);
          continue;
        }
        const digest = await crypto.subtle.digest('SHA-256', await chunk.arrayBuffer());
        const hex = [...new Uint8Array(digest)].map((b) => b.toString(16).padStart(2, '0'));
        if (hex.join('') !== expected) broken.push(`${chunkKey} has other bytes`);
      }
    }
    const orphans = keys.filter((key) => key.startsWith('chunk:') && !known.has(key)).length;
    const manifests = keys.filter((key) => key.startsWith('manifest:')).length;
    return { manifests, broken, orphans };
  });
}

/** Resolves as soon as more chunks are in the store than at the call: a model is being written. */
export function firstNewChunk(page: Page): Promise<void> {
  return page.evaluate(async () => {
    const open = indexedDB.open('easel-models');
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      open.onsuccess = () => resolve(open.result);
      open.onerror = () => reject(open.error);
    });
    const count = () =>
      new Promise<number>((resolve, reject) => {
        const chunks = IDBKeyRange.bound('chunk:', 'chunk;');
        const request = database.transaction('entries').objectStore('entries').count(chunks);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const before = await count();
    while ((await count()) <= before) await new Promise((resolve) => setTimeout(resolve, 1));
    database.close();
  });
}
