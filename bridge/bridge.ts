import { connect } from 'node:net';
import { join } from 'node:path';
import { GenerationError } from '../protocol/errors.ts';
import { RELAY_PATH } from '../protocol/relay.ts';
import { createStyleReader } from './a1111/style-file.ts';
import { createApp } from './app.ts';
import { type DataLock, lockDataFolder } from './data-lock.ts';
import { ModelDownloads } from './downloads/model-downloads.ts';
import { makePrivateFolder } from './files.ts';
import { type Health, healthOf } from './health.ts';
import { JobBroker } from './jobs/job-broker.ts';
import type { JobStore } from './jobs/job-store.ts';
import { LocalJobStore } from './jobs/local-job-store.ts';
import { RedisJobStore } from './jobs/redis/redis-job-store.ts';
import { openRedisLink } from './jobs/redis/redis-link.ts';
import type { Logger } from './log.ts';
import { BridgeMetrics } from './metrics.ts';
import { Hasher } from './models/hasher.ts';
import { FolderModelLibrary } from './models/model-library.ts';
import type { BridgeOptions } from './options/options.ts';
import { FileOutputStore } from './outputs/output-store.ts';
import { TabRelay } from './relay/tab-relay.ts';
import { AccessControl, randomToken } from './security/access-control.ts';
import { openAccessSecrets } from './security/access-file.ts';
import { GuessLimit } from './security/guess-limit.ts';
import { type PasswordFileWatch, watchPasswordFile } from './security/password-file.ts';
import { type RunningServer, relayUpgrade, StartError, startServer } from './server.ts';
import type { BridgeServices } from './services.ts';
import { openSettingsStore } from './settings-store.ts';

/** How long the browser that we open may take before "starting" becomes "no engine". */
const BROWSER_START_MS = 90_000;
/** Running jobs may go on for so long after the signal to stop, and connections a little longer. */
const JOB_GRACE_MS = 6_000;
const CONNECTION_GRACE_MS = 1_000;

export interface BridgeSurroundings {
  /** The built page. */
  readonly distFolder: string;
  readonly log: Logger;
}

/** A bridge that listens. */
export interface Bridge {
  readonly port: number;
  readonly addresses: readonly string[];
  /** Address of the page for a person on this machine. */
  readonly url: string;
  /** Address for the tab that the bridge itself opens: signs it in once where a password is set. */
  tabUrl(): string;
  readonly services: BridgeServices;
  readonly relay: TabRelay;
  readonly access: AccessControl;
  readonly downloads: ModelDownloads;
  /**
   * The checkpoint that the command line had downloaded, once it is selected; null where it asked for
   * none. Rejects with why it cannot be had.
   */
  readonly downloadedCheckpoint: Promise<string | null>;
  health(): Health;
  /** Says that a browser is being opened, so that `/health` waits for it. */
  expectEngine(): void;
  /** Refuses new jobs, lets running ones finish for a while, closes everything; safe to call twice. */
  stop(): Promise<void>;
}

function isPortTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Takes the data folder, or says who has it; a port in use is the plainer reason where both are true. */
async function takeDataFolder({ dataFolder, port }: BridgeOptions): Promise<DataLock> {
  try {
    makePrivateFolder(dataFolder);
  } catch (error) {
    throw new StartError(
      `The data folder ${dataFolder} cannot be made (${String(error)}). Give another with --data-dir.`,
      { cause: error },
    );
  }
  const lock = await lockDataFolder(dataFolder);
  if (lock) return lock;
  if (port !== 0 && (await isPortTaken(port))) {
    throw new StartError(
      `Port ${port} is in use, by an Easel that runs already: open http://localhost:${port}. For a second one, start with --port ${port + 1} and --data-dir.`,
    );
  }
  throw new StartError(
    `Another Easel uses the data folder ${dataFolder}. End it, or give this one a folder of its own with --data-dir.`,
  );
}

/** Options of `/sdapi/v1/options` that the command line decides for this run. */
function startSettings({ engine }: BridgeOptions): Record<string, unknown> {
  return engine.checkpoint === null ? {} : { sd_model_checkpoint: engine.checkpoint };
}

/** What `/sdapi/v1/cmd-flags` may show: nothing that names a secret. */
function harmlessFlags(options: BridgeOptions, port: number): Record<string, unknown> {
  return {
    port,
    listen: options.listen !== null,
    ckpt: options.engine.checkpoint,
    ckpt_dir: options.folders.checkpoint,
    lora_dir: options.folders.lora,
    vae_dir: options.folders.vae,
    embeddings_dir: options.folders.embedding,
    precision: options.engine.precision,
    device: options.engine.device,
  };
}

/** Builds every part, takes up the jobs of the last run, and listens. Throws `StartError`. */
export async function startBridge(
  options: BridgeOptions,
  { distFolder, log }: BridgeSurroundings,
): Promise<Bridge> {
  const lock = await takeDataFolder(options);
  const closers: (() => Promise<void> | void)[] = [() => lock.release()];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    return await assemble(options, { distFolder, log }, closers, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Keeps the passwords as the file of the command line has them. */
function watchPasswords(
  { passwordFile }: BridgeOptions,
  access: AccessControl,
  log: Logger,
): PasswordFileWatch | null {
  if (!passwordFile) return null;
  const { path, given } = passwordFile;
  const watch = watchPasswordFile(path, {
    onChange(credentials) {
      log.info('The passwords have changed: who came in by an old one is signed out.');
      access.replace([...given, ...credentials]);
    },
    onProblem: (reason) =>
      log.error(`--api-auth-file: ${reason}; the passwords of before stay in force.`),
  });
  const reread = () => watch.reread();
  process.on('SIGHUP', reread);
  return {
    reread,
    close() {
      process.off('SIGHUP', reread);
      watch.close();
    },
  };
}

/** The queue: in the data folder, or the one that several bridges share. */
async function openJobStore(
  { redis, queueSize: limit, dataFolder }: BridgeOptions,
  log: Logger,
): Promise<JobStore> {
  if (redis === null) {
    return await LocalJobStore.open({ folder: join(dataFolder, 'jobs'), limit, log });
  }
  return await RedisJobStore.open({ link: await openRedisLink(redis, log), limit });
}

async function assemble(
  options: BridgeOptions,
  { distFolder, log }: BridgeSurroundings,
  closers: (() => Promise<void> | void)[],
  closeAll: () => Promise<void>,
): Promise<Bridge> {
  const { dataFolder } = options;
  const scheme = options.tls ? 'https' : 'http';
  let server: RunningServer | null = null;
  let isStopping = false;
  let expectedSince = Number.NEGATIVE_INFINITY;
  const pageUrl = () => `${scheme}://localhost:${server?.port ?? options.port}`;

  const settings = await openSettingsStore({
    path: join(dataFolder, 'settings.json'),
    log,
    startValues: startSettings(options),
  });
  const access = new AccessControl({
    credentials: options.credentials,
    secrets: await openAccessSecrets(dataFolder),
  });
  const guesses = new GuessLimit();
  const relay = new TabRelay({ log });
  const store = await openJobStore(options, log);
  closers.push(() => store.close());
  const outputs = new FileOutputStore({
    root: options.outputFolder,
    savesMetadata: options.savesMetadata,
  });
  const { engineWaitMs, finishOrphans, queueSize: limit } = options;
  const jobs = new JobBroker({
    ...{ store, relay, outputs, log, limit },
    ...{ engineWaitMs, finishOrphans, pageUrl },
  });
  const hasher = await Hasher.open({
    cachePath: join(dataFolder, 'hashes.json'),
    log,
    isBusy: () => jobs.view().running > 0,
  });
  closers.push(() => hasher.close());
  const library = new FolderModelLibrary({
    folders: options.folders,
    checkpointPath: options.checkpointPath,
    vaePath: options.vaePath,
    distFolder,
    engines: relay,
    hasher,
    log,
  });
  const downloads = new ModelDownloads({
    ...options.downloads,
    folders: options.folders,
    finishedPath: join(dataFolder, 'downloads.json'),
    library,
    engines: relay,
    log,
  });
  closers.push(() => downloads.manager.close());
  const services = { jobs, engines: relay, models: library, settings, outputs };
  const health = () =>
    healthOf({
      engines: relay.list(),
      queue: jobs.view(),
      isStopping,
      download: downloads.activity(),
      hasOtherEngines: (store.sharedEngines?.goneAt ?? 0) > Date.now(),
      isStarting: Date.now() - expectedSince < BROWSER_START_MS,
      pageUrl: pageUrl(),
    });
  const metrics = new BridgeMetrics({ queue: () => jobs.view(), engines: () => relay.list() });
  store.onEvent((event) => {
    const record = event.type === 'ended' ? store.get(event.jobId) : null;
    if (record) metrics.jobEnded(record);
  });
  let token = randomToken();
  let { checkpoint } = options.engine;
  const app = createApp({
    services,
    library,
    downloads,
    health,
    metrics,
    logsRequests: options.logFormat === 'json',
    access,
    guesses,
    distFolder,
    log,
    isTls: options.tls !== null,
    a1111: {
      saveImages: options.saveImages,
      optionDefaults: {
        samples_format: options.outputFormat,
        ...(options.engine.vae === null ? {} : { sd_vae: options.engine.vae }),
        ...(options.lora === null
          ? {}
          : {
              sd_lora: options.lora.name,
              extra_networks_default_multiplier: options.lora.strength,
            }),
      },
      flags: harmlessFlags(options, options.port),
      styles: createStyleReader(join(options.dataFolder, 'styles.csv')),
      log: (message) => log.info(message),
    },
    engine: {
      start: () => ({ token, relayPath: RELAY_PATH, ...options.engine, checkpoint }),
      hasRoom: () => relay.hasRoom,
      upgrade: relayUpgrade((socket) => relay.attach(socket)),
    },
    hostRule: { isPublic: options.listen !== null, names: options.hosts },
    originRule: {
      origins: options.origins,
      hasDefaults: options.hasDefaultOrigins,
      allowsNull: options.allowsNullOrigin,
    },
  });
  server = await startServer(app, options);
  const { port, addresses } = server;
  closers.push(() => server?.close({ graceMs: CONNECTION_GRACE_MS }));
  closers.push(() => relay.close());
  await jobs.recover();
  await downloads.manager.restore();

  /** Downloads the checkpoint of the command line and makes it the one in use, as a client's choice would. */
  async function selectDownloaded(reference: string): Promise<string> {
    checkpoint = await downloads.checkpoint(reference);
    await settings.set({ sd_model_checkpoint: checkpoint });
    void relay.control({ name: 'load-checkpoint', checkpoint }).catch((error: unknown) => {
      const isNoTab = error instanceof GenerationError && error.code === 'no-tab';
      if (!isNoTab)
        log.warn('The downloaded checkpoint could not be loaded.', { error: String(error) });
    });
    return checkpoint;
  }
  const wanted = options.downloads.checkpoint;
  const downloadedCheckpoint = wanted === null ? Promise.resolve(null) : selectDownloaded(wanted);
  // Whoever waits for it hears of a failure; nobody has to.
  downloadedCheckpoint.catch(() => {});

  // A former holder of a password must not stay in by a socket or a token that it opened before.
  access.onChange(() => {
    token = randomToken();
    relay.revoke();
  });
  const passwords = watchPasswords(options, access, log);
  if (passwords) closers.push(() => passwords.close());

  let stopped: Promise<void> | null = null;
  return {
    port,
    addresses,
    url: pageUrl(),
    tabUrl: () => (access.isOn ? `${pageUrl()}/login?link=${access.issueLink()}` : `${pageUrl()}/`),
    services,
    relay,
    access,
    downloads,
    downloadedCheckpoint,
    health,
    expectEngine: () => {
      expectedSince = Date.now();
    },
    stop() {
      isStopping = true;
      stopped ??= jobs.stop({ graceMs: JOB_GRACE_MS }).then(closeAll);
      return stopped;
    },
  };
}
