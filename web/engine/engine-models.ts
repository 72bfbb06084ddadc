import type { Catalog, ModelInfo, ModelListing } from '../../protocol/catalog.ts';
import type { EngineActivity } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import type { Engine } from '../shared/engine.ts';
import type { EngineAccess } from './browser-access.ts';
import type { CheckpointKeeper } from './checkpoint-keeper.ts';
import type { SerialQueue } from './listeners.ts';
import { checkpointSha256 } from './models/cache-key.ts';
import type { ModelOrigin } from './models/manifest.ts';
import { writeArchive } from './models/model-archive.ts';
import { importArchive } from './models/model-import.ts';
import type { ModelStore } from './models/model-store.ts';
import { sourceIdentity, toCheckpointInfo } from './models/sources.ts';
import { browserStorageUse } from './models/storage-room.ts';
import type { Runtime } from './runtime/runtime.ts';

export interface EngineModelsOptions {
  readonly access: EngineAccess;
  readonly keeper: CheckpointKeeper;
  /** Runs one piece of work at a time, jobs among them. */
  readonly inTurn: SerialQueue;
  readonly acquire: () => Promise<Runtime>;
  /** Told what is being done, and null when it is done. */
  readonly onActivity: (activity: EngineActivity | null) => void;
  readonly onCatalog: (catalog: Catalog) => void;
  /** Gives back what in memory is made of a compiled model, or with null everything. */
  readonly unload: (key: string | null) => Promise<void>;
  /** Called when compiled models were deleted. */
  readonly onDeleted: () => void;
}

/** The engine's side of what models there are: its lists, added files, compiled models. */
export type EngineModels = Pick<
  Engine,
  | 'refreshModels'
  | 'addFiles'
  | 'forgetFiles'
  | 'lockedFiles'
  | 'listCompiled'
  | 'deleteCompiled'
  | 'deleteAllCompiled'
  | 'exportCompiled'
  | 'importCompiled'
  | 'storageEstimate'
> & {
  /** Resolves when the lists were made for the first time, or could not be. */
  readonly firstRefresh: Promise<void>;
};

export function createEngineModels(options: EngineModelsOptions): EngineModels {
  const { access, keeper, inTurn, acquire, onActivity, onCatalog } = options;
  const { sources } = access;

  async function refreshModels(): Promise<void> {
    const listings = await sources.refresh();
    const store = await keeper.store();
    const checkpoints = [];
    const models: ModelInfo[] = [];
    for (const listing of listings) {
      const info = toCheckpointInfo(listing, await knownSha256(store, listing));
      const { kind } = listing;
      if (kind === 'checkpoint') checkpoints.push(info);
      else models.push({ ...info, kind });
    }
    onCatalog({ checkpoints, models });
  }

  const firstRefresh = refreshModels().catch((error: unknown) => {
    console.error('The list of models could not be made.', error);
  });

  /** Why the engine, as it is set up, would compile anew instead of using a checkpoint made so. */
  function objection({ kind, precision, features, weights }: ModelOrigin, runtime: Runtime) {
    if (kind !== 'checkpoint') return null;
    const activations = features.includes('shader-f16') ? 'float16' : 'float32';
    const choice = keeper.precisionFor(weights, runtime.device);
    if (choice.precision === precision && choice.activations === activations) return null;
    return `It is kept, but it was compiled in ${precision} for ${activations} arithmetic, and this engine uses ${choice.precision} for ${choice.activations}: ${choice.reason} Start Easel with --precision ${precision}, or open the page with ?precision=${precision}, to use it.`;
  }

  return {
    firstRefresh,
    refreshModels,
    async addFiles(files) {
      await firstRefresh;
      try {
        const added = await sources.add(files);
        return added.map(({ kind, name }) => ({ kind, name }));
      } finally {
        // Of several models some may have been added before one failed.
        await refreshModels();
      }
    },
    async forgetFiles(name, kind) {
      await sources.remove(name, kind);
      await refreshModels();
    },
    async lockedFiles() {
      await firstRefresh;
      return sources.locked();
    },
    async listCompiled() {
      return (await keeper.store()).list();
    },
    deleteCompiled: (key) =>
      inTurn(async () => {
        await options.unload(key);
        await (await keeper.store()).delete(key);
        options.onDeleted();
      }),
    deleteAllCompiled: () =>
      inTurn(async () => {
        await options.unload(null);
        await deleteUnused(await keeper.store());
        options.onDeleted();
      }),
    async exportCompiled(key) {
      return writeArchive(await keeper.store(), key);
    },
    async importCompiled(file, { signal } = {}) {
      await firstRefresh;
      return inTurn(async () => {
        try {
          const runtime = await acquire();
          return await importArchive(file, {
            store: await keeper.store(),
            ...{ sources, onActivity, signal, runtimeVersion: runtime.version },
            objection: (origin) => objection(origin, runtime),
          });
        } finally {
          onActivity(null);
          await refreshModels();
        }
      }, signal);
    },
    storageEstimate: browserStorageUse,
  };
}

/** The hash of a listing's content where it was taken before: a single file's own, or a folder's. */
async function knownSha256(store: ModelStore, listing: ModelListing): Promise<string | null> {
  const known = await store.readFingerprint(sourceIdentity(listing));
  if (!known) return null;
  // A LoRA's second hash is of its data alone.
  return listing.kind === 'lora' ? (known.files[0]?.sha256 ?? null) : checkpointSha256(known.files);
}

/** Deletes every compiled model but those that other tabs work with. */
async function deleteUnused(store: ModelStore): Promise<void> {
  for (const { key } of await store.list()) {
    await store.delete(key).catch((error: unknown) => {
      if (!(error instanceof GenerationError) || error.code !== 'busy') throw error;
    });
  }
}
