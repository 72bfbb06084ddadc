import type { Catalog, ModelListing } from '../../protocol/catalog.ts';
import { type EngineActivity, type EngineStatus, NOTHING_KNOWN } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { openLora } from '../compiler/lora/lora-file.ts';
import type { Engine, GenerationProgress } from '../shared/engine.ts';
import { createWatched } from '../shared/watched.ts';
import type { EngineConfig } from '../shared/worker-protocol.ts';
import { browserAccess, type EngineAccess } from './browser-access.ts';
import { createCheckpointKeeper } from './checkpoint-keeper.ts';
import { loadControlnets } from './control/controlnets.ts';
import { createEngineDevice } from './engine-device.ts';
import { createEngineModels } from './engine-models.ts';
import { createIdleTimer } from './idle-timer.ts';
import { createSerialQueue, type SerialQueue } from './listeners.ts';
import { createCompanions } from './models/companions.ts';
import { loadEmbeddings } from './models/embedding-loader.ts';
import { chooseLoras } from './models/lora-choice.ts';
import { defaultCheckpoint, sourceIdentity } from './models/sources.ts';
import { chooseVae } from './models/vae-choice.ts';
import { type JobFlags, type JobHost, runJob } from './run-job.ts';
import { loadTaesd } from './taesd-use.ts';
import { createUpscalers } from './upscaling/upscalers.ts';

/** The engine that does the work; the relay's state is the relay client's own. */
export interface LocalEngine extends Omit<Engine, 'onRelayStatus' | 'takeOver'> {
  /** Loads the checkpoint that the engine was started with; failures are told in the status. */
  activate(): Promise<void>;
  /** The sentence to show while another tab of this profile works, null when it is this one's turn. */
  setWaiting(message: string | null): void;
}

/** What is loaded for no job in particular. */
const NO_JOB: Omit<Parameters<JobHost['load']>[0], 'checkpoint'> = {
  ...{ vae: null, prompt: '', negativePrompt: '', hires: null, controls: [] },
  isTiling: false,
  usesNetworks: true,
  previewEverySteps: 0,
  previewMethod: 'cheap',
  vaeDecoder: 'full',
  vaeEncoder: 'full',
};

const IDLE: EngineStatus = { state: 'idle', ...NOTHING_KNOWN };

export function createLocalEngine(
  config: EngineConfig,
  access: EngineAccess = browserAccess(config),
): LocalEngine {
  const status = createWatched(IDLE);
  const catalog = createWatched<Catalog>({ checkpoints: [] });
  const queue = createSerialQueue();
  const idle = createIdleTimer(config.unloadIdleMinutes, () => void unloadIdle());
  const inTurn: SerialQueue = (task, signal) => idle.during(() => queue(task, signal));
  const keeper = createCheckpointKeeper(config, access);
  const companions = createCompanions(access.sources, keeper.store);
  let running: JobFlags | null = null;
  /** The checkpoint of a job that names none, also after it left the device. */
  let lastName: string | null = null;
  let blockedMessage: string | null = null;
  let waitingMessage: string | null = null;

  function update(change: Partial<Omit<EngineStatus, 'state'>>): void {
    const next = { ...status.value, ...change };
    status.set({ ...next, state: stateOf(next.activity) });
  }

  function stateOf(activity: EngineActivity | null): EngineStatus['state'] {
    if (activity) return activity.kind === 'compile' ? 'compiling' : 'loading';
    if (running) return 'busy';
    if (blockedMessage !== null) return 'blocked';
    return waitingMessage === null ? 'idle' : 'waiting';
  }

  /** What the status says of the checkpoint in memory, if any. */
  function loadedFacts() {
    const { name = null, precision = null, reason = null } = keeper.current ?? {};
    return { checkpoint: name, precision, loadReason: reason, activity: null };
  }

  const device = createEngineDevice(access.device, {
    onDevice: (info) => update({ device: info }),
    onLost(reason) {
      console.error(`The graphics device was lost: ${reason}`);
      keeper.forget();
      companions.release();
      update({
        ...loadedFacts(),
        message: `The graphics device was lost (${reason}). The next job starts on a fresh one.`,
      });
    },
    onBlocked(message) {
      blockedMessage = message;
      update({ message });
    },
  });

  /** Gives back all that models hold of the device. */
  async function releaseMemory(): Promise<void> {
    await upscalers.release();
    await keeper.unload();
    companions.release();
    await device.giveBack();
  }

  /** Gives the device back after idle minutes. Not through `inTurn`: this is no use of the engine. */
  async function unloadIdle(): Promise<void> {
    await queue(async () => {
      const leaving = keeper.current;
      await releaseMemory();
      if (!leaving) return;
      const minutes = config.unloadIdleMinutes === 1 ? 'minute' : 'minutes';
      update({
        ...loadedFacts(),
        message: `${leaving.name} left the device after ${config.unloadIdleMinutes} idle ${minutes}; the next job loads it again.`,
      });
    }).catch((error: unknown) => console.warn('The idle checkpoint could not be unloaded.', error));
  }

  const models = createEngineModels({
    ...{ access, keeper, inTurn },
    acquire: () => device.acquire(),
    onActivity: (activity) => update({ activity }),
    onCatalog: (found) => catalog.set(found),
    async unload(key) {
      if (key === null || keeper.uses(key)) await keeper.unload();
      if (key === null || companions.uses(key)) companions.release();
    },
    onDeleted: () => update(loadedFacts()),
  });
  const { firstRefresh, refreshModels } = models;
  void device.probe();

  async function findListing(name: string | null): Promise<ModelListing> {
    await firstRefresh;
    const wanted = name ?? lastName ?? config.checkpoint;
    if (wanted === null || wanted === '') return defaultCheckpoint(access.sources);
    const found = access.sources.find(wanted);
    if (found) return found;
    throw new GenerationError(
      'not-found',
      `There is no checkpoint "${wanted}". Refresh the list of models, or choose one that is in it.`,
    );
  }

  /** What the training called a LoRA, by its listing's identity. */
  const loraAliases = new Map<string, string | null>();

  async function aliasOf(lora: ModelListing, signal: AbortSignal | undefined) {
    const identity = sourceIdentity(lora);
    const known = loraAliases.get(identity);
    if (known !== undefined) return known;
    let alias: string | null = null;
    try {
      const { metadata } = await openLora(access.sources.open(lora), { signal });
      alias = metadata.ss_output_name ?? null;
    } catch (error) {
      signal?.throwIfAborted();
      console.warn(`The LoRA ${lora.name} could not be read.`, error);
    }
    loraAliases.set(identity, alias);
    return alias;
  }

  /** A prompt's LoRAs; a name that is not listed may be that of a file that came since. */
  async function findLoras(prompt: string, signal: AbortSignal | undefined) {
    const choose = () =>
      chooseLoras(prompt, access.sources.listings, (lora) => aliasOf(lora, signal));
    let choice = await choose();
    if (choice.missing.length > 0) {
      await access.sources.refresh();
      choice = await choose();
    }
    if (choice.missing.length === 0) return choice;
    const missing = `Networks not found: ${choice.missing.join(', ').slice(0, 400)}. The picture was made without them.`;
    return { ...choice, notes: [...choice.notes, missing] };
  }

  const load: JobHost['load'] = async (wanted, tell, signal) => {
    const { checkpoint, vae, prompt, negativePrompt, hires } = wanted;
    const listing = await findListing(checkpoint);
    const { listings } = access.sources;
    const loraChoice = await findLoras(wanted.usesNetworks ? prompt : '', signal);
    const choice = chooseVae(vae ?? config.vae ?? 'Automatic', listing, listings);
    // The weights of a checkpoint that leaves stay on its graphics device, and only a fresh one is rid of them. Not
    // within a job, whose latents are on it.
    const leaves = keeper.current !== null && !keeper.holds(listing, choice.listing);
    if (leaves && !wanted.isForOnePass && status.value.device?.provider === 'webgpu') {
      await releaseMemory();
    }
    const runtime = await device.acquire();
    const before = keeper.current;
    try {
      const onActivity = calmly((activity) => {
        update({ activity });
        tell(activity);
      });
      const loaded = await keeper.ensure(listing, {
        ...{ runtime, onActivity, signal },
        vae: choice.listing,
      });
      if (choice.note !== null) loaded.notes.push(choice.note);
      loaded.notes.push(...loraChoice.notes);
      const loras = await keeper.applyLoras(listing, loraChoice.loras, { onActivity, signal });
      const texts = [prompt, negativePrompt, hires?.prompt ?? '', hires?.negativePrompt ?? ''];
      const { description } = loaded.model;
      const embeddings = await loadEmbeddings(texts, access.sources, description, {
        onNote: (note) => loaded.notes.push(note),
        signal,
      });
      loaded.model.useEmbeddings(embeddings);
      const beside = {
        ...{ description, listings, companions, onActivity, signal },
        runtimeVersion: runtime.version,
        onNote: (note: string) => void loaded.notes.push(note),
      };
      const taesd = await loadTaesd(wanted, beside);
      loaded.model.useTaesd(taesd);
      loaded.model.useTiling(wanted.isTiling);
      if (!wanted.isForOnePass) lastName = loaded.name;
      if (loaded !== before) {
        update({ ...loadedFacts(), message: null });
        // A checkpoint's hash is known once it was loaded.
        await refreshModels().catch((error: unknown) => console.warn(error));
      }
      const standIns = {
        decodes: taesd.decodes && taesd.decoder !== null,
        encodes: taesd.encodes && taesd.encoder !== null,
      };
      const controlnets = await loadControlnets(wanted.controls, {
        ...beside,
        checkpoint: loaded.weights.compiled,
      });
      return { loaded, runtime, loras, embeddings, standIns, controlnets };
    } finally {
      update(loadedFacts());
    }
  };

  const upscalers = createUpscalers({
    sources: access.sources,
    acquire: () => device.acquire(),
  });

  const host: JobHost = {
    access,
    upscalers,
    appVersion: config.appVersion,
    load,
    async economise() {
      const isWorthATry = await keeper.economise();
      update(loadedFacts());
      return isWorthATry;
    },
    async renewDevice() {
      keeper.forget();
      upscalers.forget();
      await device.renew();
    },
  };

  async function warmUp(name: string, signal: AbortSignal | undefined): Promise<void> {
    const { loaded } = await load({ ...NO_JOB, checkpoint: name }, () => {}, signal);
    update({ activity: { kind: 'load', what: loaded.name, done: 0.5, etaSeconds: null } });
    try {
      const { nativeResolution: side } = loaded.model.description;
      await loaded.model.warmUp({ height: side, width: side });
    } finally {
      update({ activity: null });
    }
  }

  return {
    onStatus: status.watch,
    onCatalog: catalog.watch,
    ...models,
    loadCheckpoint: (name, { signal } = {}) => inTurn(() => warmUp(name, signal), signal),
    unloadCheckpoint: () =>
      inTurn(async () => {
        await releaseMemory();
        update(loadedFacts());
      }),
    async activate() {
      await firstRefresh;
      const { checkpoint } = config;
      if (checkpoint === null) return;
      // Whoever chose one meanwhile knows better what is wanted now.
      const begin = async () => (keeper.current ? undefined : warmUp(checkpoint, undefined));
      await inTurn(begin).catch((error: unknown) => {
        update({ message: error instanceof Error ? error.message : String(error) });
      });
    },
    async countTokens(prompts) {
      const model = keeper.current?.model;
      return prompts.map((prompt) => {
        try {
          return model?.countTokens(prompt) ?? null;
        } catch {
          // Half-typed: `(word:1.` is no number yet.
          return null;
        }
      });
    },
    setWaiting(message) {
      waitingMessage = message;
      update({ message });
    },
    skip() {
      if (running) running.isSkipped = true;
    },
    interrupt() {
      if (running) running.isInterrupted = true;
    },
    generate: (params, options = {}) =>
      inTurn(async () => {
        const flags = { isInterrupted: false, isSkipped: false };
        running = flags;
        update({});
        options.onProgress?.(startProgress(params.batchCount * params.batchSize));
        try {
          return await runJob(params, options, flags, host);
        } finally {
          running = null;
          update({ activity: null });
        }
      }, options.signal),
    async close() {
      idle.close();
      await keeper.unload().catch((error: unknown) => console.warn(error));
      await device.close();
      (await keeper.store().catch(() => null))?.close();
    },
  };
}

/** Told when a job's turn comes: from then on it can be interrupted. */
function startProgress(imageCount: number): GenerationProgress {
  return {
    stage: 'waiting',
    ...{ imageIndex: 0, imageCount, step: 0, steps: 0, fraction: 0 },
    etaSeconds: null,
    message: 'Starting',
  };
}

/** Shortest time between two reports of the same work. */
const REPORT_MS = 100;

/** Passes reports on at a pace that page and bridge can follow; new work is told at once. */
function calmly(report: (activity: EngineActivity) => void): (activity: EngineActivity) => void {
  let last = { key: '', at: 0 };
  return (activity) => {
    const key = `${activity.kind} ${activity.what}`;
    const now = performance.now();
    if (key === last.key && now - last.at < REPORT_MS) return;
    last = { key, at: now };
    report(activity);
  };
}
