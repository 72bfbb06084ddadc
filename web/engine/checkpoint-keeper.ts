import type { ModelListing } from '../../protocol/catalog.ts';
import type { DeviceInfo, EngineActivity } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { openCheckpoint } from '../compiler/checkpoint.ts';
import {
  type CompiledComponent,
  isSdxlRefiner,
  type ModelDescription,
  type Precision,
} from '../compiler/model.ts';
import { onnxConfig } from '../compiler/onnx-folder/config.ts';
import type { EngineConfig } from '../shared/worker-protocol.ts';
import type { EngineAccess } from './browser-access.ts';
import { type CheckpointModel, createCheckpointModel } from './checkpoint-model.ts';
import type { ModelWeights } from './component-sessions.ts';
import {
  type MemoryBudget,
  machineMemoryBytes,
  memoryBudget,
  residencySentence,
} from './memory-budget.ts';
import { loadCompiled } from './models/checkpoint-loader.ts';
import { choosePrecision, type PrecisionChoice } from './models/choose-precision.ts';
import type { WeightCounts } from './models/compiled-size.ts';
import type { ChosenLora } from './models/lora-choice.ts';
import { loadLoras, type UsedLora, withLoras } from './models/lora-loader.ts';
import type { Manifest } from './models/manifest.ts';
import type { ModelStore } from './models/model-store.ts';
import { sourceIdentity } from './models/sources.ts';
import { fileName } from './models/vae-choice.ts';
import { isVae, loadCompiledVae, requireVae, withVae } from './models/vae-loader.ts';
import { settlePrediction } from './prediction-trial.ts';
import { type ClipTokenizer, createClipTokenizer, loadClipVocabulary } from './prompt/tokenizer.ts';
import type { Runtime } from './runtime/runtime.ts';

/** A checkpoint that is ready to make pictures. */
export interface LoadedCheckpoint {
  readonly name: string;
  /** Of the weights that work, the UNet's. */
  readonly precision: Precision;
  readonly manifest: Manifest;
  readonly model: CheckpointModel;
  /** Without any LoRA. */
  readonly weights: ModelWeights;
  /** The VAE in the place of the checkpoint's own, as infotexts name it. */
  readonly vae: { readonly name: string; readonly hash: string } | null;
  /** Why it is in that precision, and how its parts share the memory: sentences. */
  readonly reason: string;
  /** What the next job should say of the load, as sentences. */
  readonly notes: string[];
}

export interface KeepOptions {
  readonly runtime: Runtime;
  /** The VAE to use; null is the checkpoint's own. */
  readonly vae: ModelListing | null;
  readonly onActivity: (activity: EngineActivity) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The one checkpoint in memory. */
export interface CheckpointKeeper {
  readonly current: LoadedCheckpoint | null;
  /** The checkpoint of a listing, compiled and loaded where it is not yet; another one leaves first. */
  ensure(listing: ModelListing, options: KeepOptions): Promise<LoadedCheckpoint>;
  /**
   * Puts these LoRAs, and no others, over the checkpoint in memory, which is `listing`'s; of its sessions
   * only those of components that change are opened anew.
   */
  applyLoras(
    listing: ModelListing,
    loras: readonly ChosenLora[],
    options: Pick<KeepOptions, 'onActivity' | 'signal'>,
  ): Promise<readonly UsedLora[]>;
  /** The precision in which a checkpoint of such weights is compiled for a device now. */
  precisionFor(weights: WeightCounts, device: DeviceInfo): PrecisionChoice;
  /**
   * What is done when the device ran out of memory: from now on weights get half as much of it. The
   * checkpoint in memory goes on with one part at a time. Where it does so already it leaves, so that the
   * next job loads it anew, in a smaller precision if need be; false then: the job is not worth another try.
   */
  economise(): Promise<boolean>;
  /** Whether the checkpoint in memory is of these files. */
  holds(listing: ModelListing, vae: ModelListing | null): boolean;
  /** Gives all memory back. */
  unload(): Promise<void>;
  /** Drops a checkpoint whose device is gone, with nothing left to release. */
  forget(): void;
  /** True while the checkpoint in memory is made of this compiled model. */
  uses(key: string): boolean;
  store(): Promise<ModelStore>;
}

/** An eighth of the budget is where halving ends: what does not fit then does not fit at all. */
const MOST_SHORTAGES = 3;

export function createCheckpointKeeper(
  config: EngineConfig,
  access: EngineAccess,
): CheckpointKeeper {
  let current: LoadedCheckpoint | null = null;
  let currentIdentity = '';
  let currentRuntime: Runtime | null = null;
  let releaseUse = () => {};
  let currentKeys: readonly string[] = [];
  let currentLoras: Manifest | null = null;
  let releaseLoras = () => {};
  let opening: Promise<ModelStore> | null = null;
  /** How often the device ran out of memory. */
  let shortages = 0;

  function budgetOf(device: DeviceInfo): MemoryBudget {
    return memoryBudget(device, { machineBytes: machineMemoryBytes(), shortages });
  }

  function precisionFor(weights: WeightCounts, device: DeviceInfo): PrecisionChoice {
    return choosePrecision(config.precision, device, weights, budgetOf(device));
  }

  function store(): Promise<ModelStore> {
    opening ??= access
      .openStore()
      .then(async (opened) => {
        await opened.removeOrphans();
        return opened;
      })
      .catch((error: unknown) => {
        // The next call tries again: a database that another tab upgrades comes back.
        opening = null;
        throw error;
      });
    return opening;
  }

  async function tokenizers({ textEncoders, family }: ModelDescription): Promise<ClipTokenizer[]> {
    const made: ClipTokenizer[] = [];
    for (const { tokenizer, bosId, eosId, padId, component } of textEncoders) {
      const { vocab, merges } = tokenizer ?? loadClipVocabulary(await access.loadClipMerges());
      const isOpenClip = family === 'sd2' || component === 'text_encoder_2';
      const flavor = isOpenClip ? 'open-clip' : 'clip';
      made.push(createClipTokenizer({ vocab, merges, bosId, eosId, padId, flavor }));
    }
    return made;
  }

  async function load(
    listing: ModelListing,
    { runtime, vae: vaeListing, onActivity, signal }: KeepOptions,
  ): Promise<LoadedCheckpoint> {
    const models = await store();
    const notes: string[] = [];
    const budget = budgetOf(runtime.device);
    let precisionReason = '';
    const options = {
      sources: access.sources,
      store: models,
      runtimeVersion: runtime.version,
      onActivity,
      onNote: (note: string) => void notes.push(note),
      signal,
    };
    const vaes = access.sources.listings.filter(({ kind }) => kind === 'vae');
    const complete = <T extends { components: readonly { name: string }[] }>(found: T): T => {
      const names = vaes.map(({ name }) => name);
      if (!vaeListing) requireVae(found, listing, names);
      return found;
    };
    const stored = await loadCompiled(listing, {
      ...options,
      // Said before anything is compiled, and again of what was compiled with another VAE.
      open: async (files, reading) =>
        complete(await openCheckpoint(files, { ...reading, device: runtime.device })),
      choosePrecision(weights) {
        const choice = precisionFor(weights, runtime.device);
        if (choice.isReduced) notes.push(choice.reason);
        precisionReason = choice.reason;
        return choice;
      },
    });
    await keepInStore(models, stored);
    const manifest = await settled(stored, models, runtime);
    complete(manifest.model);
    const vae = vaeListing ? await loadCompiledVae(vaeListing, manifest.model, options) : null;
    if (vae) await keepInStore(models, vae);
    const compiled =
      vae && vaeListing ? withVae(manifest.model, vae.model, vaeListing.name) : manifest.model;
    onActivity({ kind: 'load', what: listing.name, done: 0, etaSeconds: null });
    const shardsOf = (component: CompiledComponent) =>
      models.shards(vae && isVae(component.name) ? vae : manifest, component);
    const weights = { compiled, shardsOf };
    const model = createCheckpointModel({
      runtime,
      ...weights,
      tokenizers: await tokenizers(compiled.description),
      budgetBytes: budget.weightBytes,
      onNote: (note) => void (notes.includes(note) || notes.push(note)),
    });
    const unet = compiled.components.find(({ name }) => name === 'unet');
    const modelBytes = compiled.components
      .flatMap(({ shardSizes }) => shardSizes)
      .reduce((sum, bytes) => sum + bytes, 0);
    const reason = `${precisionReason} ${residencySentence(modelBytes, budget)}`;
    console.info(`${listing.name}: ${unet?.precision}. ${reason}`);
    return {
      name: listing.name,
      precision: unet?.precision ?? 'fp32',
      manifest,
      reason,
      model,
      weights,
      vae: vae && vaeListing ? { name: fileName(vaeListing), hash: vae.sha256.slice(0, 10) } : null,
      notes,
    };
  }

  /** Where only running the UNet tells what it predicts, it is run at the first load and never again. */
  async function settled(
    stored: Manifest,
    models: ModelStore,
    runtime: Runtime,
  ): Promise<Manifest> {
    const shardsOf = (component: CompiledComponent) => models.shards(stored, component);
    const description = await settlePrediction(stored.model, { runtime, shardsOf });
    return description === stored.model.description ? stored : models.describe(stored, description);
  }

  /** Nothing in use is deleted to make room. */
  async function keepInStore(models: ModelStore, { key }: Manifest): Promise<void> {
    const [before, release] = [releaseUse, await models.use(key)];
    currentKeys = [...currentKeys, key];
    releaseUse = () => {
      before();
      release();
    };
  }

  async function applyLoras(
    listing: ModelListing,
    wanted: readonly ChosenLora[],
    { onActivity, signal }: Pick<KeepOptions, 'onActivity' | 'signal'>,
  ): Promise<readonly UsedLora[]> {
    const loaded = current;
    if (!loaded) throw new TypeError('no checkpoint is in memory');
    const loras = isSdxlRefiner(loaded.manifest.model.description) ? [] : wanted;
    if (loras.length < wanted.length) {
      const names = wanted.map(({ name }) => name).join(', ');
      loaded.notes.push(
        `${listing.name} is a refiner of SDXL, whose layers no LoRA is made for: its steps were made without ${names}.`,
      );
    }
    if (loras.length === 0 && !currentLoras) return [];
    if (loras.length > 0 && loaded.manifest.model.components.some(onnxConfig)) {
      const names = loras.map(({ name }) => name).join(', ');
      throw new GenerationError(
        'unsupported',
        `The LoRA ${names} cannot be put over ${listing.name}: its ready-made ONNX graphs no longer have the layers that LoRAs name. Leave it out, or use the checkpoint as .safetensors.`,
      );
    }
    const models = await store();
    const { sources } = access;
    const { manifest: over, used } =
      loras.length > 0
        ? await loadLoras(listing, loaded.manifest, loras, {
            ...{ sources, store: models, onActivity, signal },
          })
        : { manifest: null, used: [] };
    if (over?.key === currentLoras?.key) return used;
    const release = over ? await models.use(over.key) : () => {};
    const changed = [currentLoras, over].flatMap((set) => set?.model.components ?? []);
    await loaded.model.useWeights(
      over ? weightsWith(models, loaded.weights, over) : loaded.weights,
      changed.map(({ name }) => name),
    );
    releaseLoras();
    [currentLoras, releaseLoras] = [over, release];
    return used;
  }

  function letGo(): void {
    releaseLoras();
    [currentLoras, releaseLoras] = [null, () => {}];
    releaseUse();
    releaseUse = () => {};
    currentKeys = [];
  }

  async function unload(): Promise<void> {
    const leaving = current;
    current = null;
    await leaving?.model.release();
    letGo();
  }

  return {
    get current() {
      return current;
    },
    async ensure(listing, options) {
      const identity = identityOf(listing, options.vae);
      if (current && identity === currentIdentity && options.runtime === currentRuntime) {
        return current;
      }
      await unload();
      try {
        current = await load(listing, options);
      } catch (error) {
        letGo();
        throw error;
      }
      currentIdentity = identity;
      currentRuntime = options.runtime;
      return current;
    },
    applyLoras,
    precisionFor,
    async economise() {
      shortages = Math.min(shortages + 1, MOST_SHORTAGES);
      if (await current?.model.economise()) return true;
      await unload();
      return false;
    },
    holds: (listing, vae) => current !== null && identityOf(listing, vae) === currentIdentity,
    unload,
    forget() {
      current = null;
      letGo();
    },
    uses: (key) => current !== null && (currentKeys.includes(key) || currentLoras?.key === key),
    store,
  };
}

/** What tells one checkpoint in memory from another. */
function identityOf(listing: ModelListing, vae: ModelListing | null): string {
  return [listing, ...(vae ? [vae] : [])].map(sourceIdentity).join('|');
}

/** A checkpoint's weights with a LoRA set's in their places; the set's shards follow the checkpoint's. */
function weightsWith(models: ModelStore, base: ModelWeights, over: Manifest): ModelWeights {
  return {
    compiled: withLoras(base.compiled, over.model),
    async shardsOf(component) {
      const { name } = component;
      const own = base.compiled.components.find((part) => part.name === name);
      const changed = over.model.components.find((part) => part.name === name);
      return [
        ...(own ? await base.shardsOf(own) : []),
        ...(changed ? await models.shards(over, changed) : []),
      ];
    },
  };
}
