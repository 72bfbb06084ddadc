import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, parse, resolve } from 'node:path';
import {
  HUB_ENDPOINT,
  isLoopbackHost,
  looksLikeReference,
  parseModelReference,
} from '../../protocol/downloads/model-reference.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { GENERATION_LIMITS, MAX_RANDOM_SEED } from '../../protocol/generation.ts';
import { SAMPLERS, SCHEDULERS } from '../../protocol/samplers.ts';
import { EASEL_VERSION } from '../../protocol/version.ts';
import { LOG_FORMATS, LOG_LEVELS } from '../log.ts';
import { parseCredential, parsePasswordFile } from '../security/password-file.ts';
import { type FlagValues, readFlags } from './flag-reader.ts';
import { FLAGS } from './flag-table.ts';
import { helpText } from './help.ts';
import {
  type BridgeOptions,
  type Command,
  type Credential,
  type DownloadOptions,
  type EngineOptions,
  type ModelFolders,
  type PictureOptions,
  UsageError,
} from './options.ts';

/** What the command line is read against; tests hand in their own. */
export interface Surroundings {
  readonly cwd?: string;
  readonly platform?: NodeJS.Platform;
  readonly home?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The platform's place for an application's data. */
export function defaultDataFolder({
  platform = process.platform,
  home = homedir(),
  env = process.env,
}: Surroundings = {}): string {
  if (platform === 'win32')
    return join(env.LOCALAPPDATA ?? join(home, 'AppData', 'Local'), 'Easel');
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'Easel');
  const xdg = env.XDG_DATA_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(home, '.local', 'share'), 'easel');
}

function credential(text: string): Credential {
  const pair = parseCredential(text);
  if (pair) return pair;
  throw new UsageError('--api-auth takes USER:PASS with neither part empty.');
}

interface Credentials {
  /** Of the command line and of the file. */
  readonly credentials: readonly Credential[];
  /** The file, and what is given beside it: the passwords change with the file while Easel runs. */
  readonly passwordFile: BridgeOptions['passwordFile'];
}

function readCredentials(flags: FlagValues, cwd: string): Credentials {
  const given = flags.list('api-auth').map(credential);
  if (flags.has('api-auth') && given.length === 0) {
    throw new UsageError('--api-auth takes USER:PASS with neither part empty.');
  }
  const file = flags.text('api-auth-file');
  if (file === undefined) return { credentials: given, passwordFile: null };
  const path = resolve(cwd, file);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    throw new UsageError(`--api-auth-file: ${file} cannot be read.`);
  }
  try {
    const credentials = [...given, ...parsePasswordFile(text)];
    return { credentials, passwordFile: { path, given } };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--api-auth-file: ${file}: ${reason}.`);
  }
}

function readTls(flags: FlagValues, cwd: string): BridgeOptions['tls'] {
  const cert = flags.text('tls-certfile');
  const key = flags.text('tls-keyfile');
  if (cert === undefined && key === undefined) return null;
  if (cert === undefined || key === undefined) {
    throw new UsageError('--tls-certfile and --tls-keyfile go together.');
  }
  for (const [flag, file] of [
    ['--tls-certfile', cert],
    ['--tls-keyfile', key],
  ] as const) {
    if (!existsSync(resolve(cwd, file))) throw new UsageError(`${flag}: there is no file ${file}.`);
  }
  return { certFile: resolve(cwd, cert), keyFile: resolve(cwd, key) };
}

function readFolders(flags: FlagValues, dataFolder: string, cwd: string): ModelFolders {
  const models = resolve(cwd, flags.text('models-dir') ?? join(dataFolder, 'models'));
  const at = (
    flag: 'ckpt-dir' | 'lora-dir' | 'vae-dir' | 'embeddings-dir' | 'esrgan-models-path',
    folder: string,
  ) => {
    const given = flags.text(flag);
    if (given === undefined) return join(models, folder);
    const path = resolve(cwd, given);
    if (existsSync(path) && !statSync(path).isDirectory()) {
      throw new UsageError(`--${flag}: ${given} is a file; name the folder that holds it.`);
    }
    return path;
  };
  return {
    checkpoint: at('ckpt-dir', 'Stable-diffusion'),
    lora: at('lora-dir', 'Lora'),
    vae: at('vae-dir', 'VAE'),
    embedding: at('embeddings-dir', 'embeddings'),
    esrgan: at('esrgan-models-path', 'ESRGAN'),
    controlnet: join(models, 'ControlNet'),
    taesd: join(models, 'VAE-approx'),
  };
}

/** `--ckpt` or `--custom-vae` names a model, or a file or folder on this machine whose stem is then the name. */
function readModel(
  flags: FlagValues,
  flag: 'ckpt' | 'custom-vae',
  cwd: string,
): { name: string | null; path: string | null; reference: string | null } {
  const text = flags.text(flag);
  if (text === undefined || text === '') return { name: null, path: null, reference: null };
  const path = resolve(cwd, text);
  const isFileName = /\.(safetensors|ckpt)$/i.test(text) && !text.includes('://');
  if (flag === 'ckpt' && looksLikeReference(text) && !isFileName && !existsSync(path)) {
    return { name: null, path: null, reference: text };
  }
  const looksLikePath = /[\\/]|\.(safetensors|ckpt|pt|pth|bin)$/i.test(text);
  if (!looksLikePath) return { name: text, path: null, reference: null };
  if (existsSync(path)) {
    if (/\.(ckpt|pt|pth|bin)$/i.test(path)) {
      throw new UsageError(
        `--${flag}: ${text} is a pickle file, which can run code when opened; convert it to safetensors first.`,
      );
    }
    const name = statSync(path).isDirectory() ? parse(path).base : parse(path).name;
    return { name, path, reference: null };
  }
  if (/\.(safetensors|ckpt)$/i.test(text) && !/[\\/]/.test(text)) {
    return { name: parse(text).name, path: null, reference: null };
  }
  throw new UsageError(
    `--${flag}: there is no file or folder ${text}. Put the model into --models-dir and give its name, or give a path.`,
  );
}

/** Root of the hub: `HF_ENDPOINT`, as its own tools read it. */
function readHubEndpoint(given: string | undefined): string {
  if (given === undefined || given === '') return HUB_ENDPOINT;
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    throw new UsageError(`HF_ENDPOINT: ${given} is no address.`);
  }
  const isSecure = url.protocol === 'https:';
  if (!isSecure && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
    throw new UsageError('HF_ENDPOINT: only https is taken, as model files come from there.');
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

function readToken(text: string | undefined, name: string): string | null {
  const token = text?.trim() ?? '';
  if (token === '') return null;
  if (/^[\x21-\x7e]{1,500}$/.test(token)) return token;
  throw new UsageError(`${name}: this is no access token; copy it again.`);
}

function readDownloads(
  flags: FlagValues,
  checkpoint: string | null,
  env: Readonly<Record<string, string | undefined>>,
): DownloadOptions {
  const hubEndpoint = readHubEndpoint(env.HF_ENDPOINT);
  const ownHosts = hubEndpoint === HUB_ENDPOINT ? [] : [new URL(hubEndpoint).host];
  if (checkpoint !== null) {
    try {
      const reference = parseModelReference(checkpoint, { hubEndpoint });
      if (reference.type === 'url') ownHosts.push(new URL(reference.url).host);
    } catch (error) {
      if (error instanceof GenerationError) throw new UsageError(`--ckpt: ${error.message}`);
      throw error;
    }
  }
  const hub = flags.text('hf-token') ?? env.HF_TOKEN ?? env.HUGGING_FACE_HUB_TOKEN;
  const civitai = flags.text('civitai-token') ?? env.CIVITAI_TOKEN ?? env.CIVITAI_API_TOKEN;
  return {
    hubEndpoint,
    checkpoint,
    ownHosts,
    tokens: {
      hub: readToken(hub, '--hf-token'),
      civitai: readToken(civitai, '--civitai-token'),
    },
  };
}

function readEngine(
  flags: FlagValues,
  { checkpoint, vae }: Pick<EngineOptions, 'checkpoint' | 'vae'>,
): EngineOptions {
  const idle = flags.number('unload-idle', 0, { min: 0, max: 100_000, isWhole: false });
  return {
    device: flags.text('device') || 'auto',
    precision: flags.choice('precision', ['auto', 'fp16', 'fp32', 'q8', 'q4'], 'auto'),
    checkpoint,
    vae,
    allocator: flags.choice('device-allocator', ['caching', 'simple', 'disabled'], 'caching'),
    unloadIdleMinutes: idle === 0 ? null : idle,
  };
}

/** `--redis`; the address may hold a password and so is never repeated in full. */
function readRedis(flags: FlagValues): string | null {
  const text = flags.text('redis');
  if (text === undefined) return null;
  const url = URL.canParse(text) ? new URL(text) : null;
  const isRedis = url?.protocol === 'redis:' || url?.protocol === 'rediss:';
  if (isRedis && url.host !== '') return text;
  throw new UsageError('--redis: write redis://HOST:6379, or rediss:// for TLS.');
}

/** `--use-lora` with `--lora-strength`; the name with or without the file's ending. */
function readLora(flags: FlagValues): BridgeOptions['lora'] {
  const name = flags.text('use-lora')?.replace(/\.safetensors$/i, '') ?? '';
  const strength = flags.number('lora-strength', 1, { min: -10, max: 10, isWhole: false });
  if (name === '') return null;
  if (/[<>:]/.test(name)) {
    throw new UsageError(`--use-lora: ${name} is no name of a file in --lora-dir.`);
  }
  return { name, strength };
}

function readOptions(flags: FlagValues, surroundings: Surroundings): BridgeOptions {
  const cwd = surroundings.cwd ?? process.cwd();
  const dataFolder = resolve(cwd, flags.text('data-dir') ?? defaultDataFolder(surroundings));
  const { credentials, passwordFile } = readCredentials(flags, cwd);
  const listen = flags.has('listen') ? flags.text('listen') || '0.0.0.0' : null;
  if (listen !== null && credentials.length === 0) {
    throw new UsageError(
      '--listen opens Easel to the network, so it needs a password: add --api-auth USER:PASS or --api-auth-file FILE.',
    );
  }
  const checkpoint = readModel(flags, 'ckpt', cwd);
  const vae = readModel(flags, 'custom-vae', cwd);
  return {
    port: flags.number('port', 7860, { min: 0, max: 65_535 }),
    lora: readLora(flags),
    listen,
    tls: readTls(flags, cwd),
    credentials,
    passwordFile,
    origins: flags.list('cors-allow-origins'),
    hasDefaultOrigins: !flags.isOn('no-default-origins'),
    allowsNullOrigin: flags.isOn('cors-allow-null-origin'),
    hosts: flags.list('allow-host'),
    printLinks: flags.isOn('print-links'),
    browser: flags.choice('browser', ['auto', 'open', 'headless', 'none'], 'auto'),
    engine: readEngine(flags, { checkpoint: checkpoint.name, vae: vae.name }),
    folders: readFolders(flags, dataFolder, cwd),
    downloads: readDownloads(flags, checkpoint.reference, surroundings.env ?? process.env),
    checkpointPath: checkpoint.path,
    vaePath: vae.path,
    outputFolder: resolve(cwd, flags.text('output-dir') ?? join(dataFolder, 'generated_imgs')),
    outputFormat: flags.choice('output-img-format', ['png', 'jpg', 'webp'], 'png'),
    savesMetadata: flags.isOn('save-metadata-to-json'),
    saveImages: flags.choice('save-images', ['all', 'requested'], 'all'),
    queueSize: flags.number('queue-size', 64, { min: 1, max: 10_000 }),
    redis: readRedis(flags),
    engineWaitMs: flags.number('engine-wait', 30, { min: 0, max: 86_400, isWhole: false }) * 1000,
    finishOrphans: flags.isOn('finish-orphans'),
    dataFolder,
    logLevel: flags.choice('log-level', LOG_LEVELS, 'info'),
    logFormat: flags.choice('log-format', LOG_FORMATS, 'text'),
  };
}

function findNamed<T extends { readonly name: string }>(
  entries: readonly (T & { readonly aliases: readonly string[] | null; readonly label?: string })[],
  text: string,
  flag: string,
): T['name'] {
  const wanted = text.toLowerCase();
  const found = entries.find((entry) =>
    [entry.name, entry.label ?? '', ...(entry.aliases ?? [])].some(
      (name) => name.toLowerCase() === wanted,
    ),
  );
  if (found) return found.name;
  throw new UsageError(
    `--${flag}: "${text}" is not known. Known are: ${entries.map((entry) => entry.name).join(', ')}.`,
  );
}

function readPicture(flags: FlagValues, options: BridgeOptions, cwd: string): PictureOptions {
  const { maxSteps, minSide, maxSide } = GENERATION_LIMITS;
  const side = { min: minSide, max: maxSide };
  const seed = flags.number('seed', -1, { min: -1, max: Number.MAX_SAFE_INTEGER });
  const out = resolve(cwd, flags.text('out') ?? `easel.${options.outputFormat}`);
  const extension = parse(out).ext.toLowerCase();
  const isJpg = extension === '.jpg' || extension === '.jpeg';
  if (!isJpg && !['', '.png', '.webp'].includes(extension)) {
    throw new UsageError(`--out: ${extension} is none of .png, .jpg and .webp.`);
  }
  return {
    out,
    params: {
      mode: 'txt2img',
      prompt: flags.text('prompt') ?? '',
      negativePrompt: flags.text('negative-prompt') ?? '',
      steps: flags.number('steps', 20, { min: 1, max: maxSteps }),
      seed: seed === -1 ? Math.floor(Math.random() * MAX_RANDOM_SEED) : seed,
      width: flags.number('width', 512, side),
      height: flags.number('height', 512, side),
      guidanceScale: flags.number('cfg-scale', 7, { min: 0, max: 100, isWhole: false }),
      sampler: findNamed(SAMPLERS, flags.text('sampler') ?? 'Euler', 'sampler'),
      scheduler: findNamed(SCHEDULERS, flags.text('scheduler') ?? 'automatic', 'scheduler'),
      checkpoint: options.engine.checkpoint,
      outputFormat: isJpg ? 'jpg' : extension === '.webp' ? 'webp' : 'png',
    },
  };
}

/** Reads a command line (without node and script). Throws `UsageError` with one sentence. */
export function parseCommand(argv: readonly string[], surroundings: Surroundings = {}): Command {
  const flags = readFlags(argv);
  if (flags.isOn('help')) return { type: 'print', text: helpText() };
  if (flags.isOn('version')) return { type: 'print', text: `Easel ${EASEL_VERSION}` };
  const options = readOptions(flags, surroundings);
  if (flags.isOn('clear-cache')) return { type: 'clear-cache', options };
  if (flags.has('prompt')) {
    const picture = readPicture(flags, options, surroundings.cwd ?? process.cwd());
    return { type: 'picture', options, picture };
  }
  for (const flag of FLAGS) {
    const [name] = flag.names;
    if (flag.group === 'One picture, then exit' && flags.has(name)) {
      throw new UsageError(`--${name} goes with --prompt TEXT. Requests bring their own settings.`);
    }
  }
  return { type: 'serve', options };
}
