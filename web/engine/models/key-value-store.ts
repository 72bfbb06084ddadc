import { del, delMany, get, getMany, keys, promisifyRequest, set, type UseStore } from 'idb-keyval';
import { GenerationError } from '../../../protocol/errors.ts';

/** A flat store of values by name: IndexedDB in the browser, a map where that is missing. */
export interface KeyValueStore {
  /** False when everything is forgotten with the tab. */
  readonly isPersistent: boolean;
  get(key: string): Promise<unknown>;
  getMany(keys: readonly string[]): Promise<unknown[]>;
  /** `durable` waits until the value is on the disk; rejects with `storage-full` when there is no room. */
  set(key: string, value: unknown, options?: { durable?: boolean }): Promise<void>;
  delete(keys: readonly string[]): Promise<void>;
  keys(): Promise<string[]>;
  close(): void;
}

const STORE_NAME = 'entries';

/** Opens IndexedDB, or a store in memory where the browser refuses it (private windows, old profiles). */
export async function openKeyValueStore(databaseName: string): Promise<KeyValueStore> {
  if (!globalThis.indexedDB) return createMemoryStore();
  try {
    return await openIndexedDb(databaseName);
  } catch (error) {
    console.warn('Compiled models are kept in memory only: IndexedDB does not open.', error);
    return createMemoryStore();
  }
}

async function openDatabase(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE_NAME);
  request.onblocked = () => console.warn('Another tab keeps an older model store open; close it.');
  const database = await promisifyRequest(request);
  // Else a newer page's upgrade in another tab would wait for this tab for ever.
  database.onversionchange = () => database.close();
  return database;
}

async function openIndexedDb(name: string): Promise<KeyValueStore> {
  let database: Promise<IDBDatabase> | null = openDatabase(name);
  await database;

  const useStore =
    (durability: IDBTransactionDurability): UseStore =>
    async (mode, callback) => {
      database ??= openDatabase(name);
      try {
        return await callback(
          (await database).transaction(STORE_NAME, mode, { durability }).objectStore(STORE_NAME),
        );
      } catch (error) {
        // Closed by an upgrade or by eviction: open again, once.
        if (!(error instanceof DOMException) || error.name !== 'InvalidStateError') throw error;
        database = openDatabase(name);
        return callback(
          (await database).transaction(STORE_NAME, mode, { durability }).objectStore(STORE_NAME),
        );
      }
    };
  const relaxed = useStore('relaxed');
  const strict = useStore('strict');

  return {
    isPersistent: true,
    get: (key) => get<unknown>(key, relaxed),
    getMany: (wanted) => getMany<unknown>([...wanted], relaxed),
    async set(key, value, { durable = false } = {}) {
      try {
        await set(key, value, durable ? strict : relaxed);
      } catch (error) {
        throw storageError(error);
      }
    },
    delete: (unwanted) =>
      unwanted.length === 1 && unwanted[0] !== undefined
        ? del(unwanted[0], relaxed)
        : delMany([...unwanted], relaxed),
    keys: () => keys<string>(relaxed),
    close() {
      void database?.then((open) => open.close());
      database = null;
    },
  };
}

/** Names the want of room; by name alone, as browsers disagree about the error's class. */
function storageError(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'QuotaExceededError') return error;
  return new GenerationError(
    'storage-full',
    'The browser has no room left for compiled models. Delete models that are not needed, or free disk space, and try again; earlier models are unharmed.',
    { cause: error },
  );
}

/** The same store without persistence. */
export function createMemoryStore(): KeyValueStore {
  const entries = new Map<string, unknown>();
  return {
    isPersistent: false,
    get: async (key) => entries.get(key),
    getMany: async (wanted) => wanted.map((key) => entries.get(key)),
    set: async (key, value) => void entries.set(key, value),
    delete: async (unwanted) => {
      for (const key of unwanted) entries.delete(key);
    },
    keys: async () => [...entries.keys()],
    close: () => entries.clear(),
  };
}
