import { z } from 'zod';
import { modelListing } from '../catalog.ts';
import { GenerationError } from '../errors.ts';
import { type StopSignal, webPlatform } from '../web-platform.ts';
import {
  type DownloadKind,
  type HeaderFacts,
  headerEnd,
  kindOfTensors,
  readHeader,
} from './file-kind.ts';
import {
  type AccessTokens,
  checkStatus,
  type HostContext,
  type HttpGet,
  type HttpReply,
  RETRY_DELAYS_MS,
  readPrefix,
  refuseWebPage,
  send,
  withRetries,
} from './http-client.ts';
import { chooseHubFiles, type HubEntry, hubEntry, hubSha256 } from './hub-files.ts';
import { CIVITAI_ENDPOINT, isPlainSegment, type ModelReference } from './model-reference.ts';

export const plannedFile = z.object({
  url: z.string().max(4000),
  /** Below the model's folder; for a single file its own name. */
  path: z.string().min(1).max(1000),
  sizeBytes: z.int().min(0).nullable(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
});
export type PlannedFile = z.infer<typeof plannedFile>;

/** Everything that is known before the first byte of a model is fetched. */
export const downloadPlan = z.object({
  title: z.string().max(500),
  /** The model's page for people, where its licence stands; or null. */
  page: z.string().max(4000).nullable(),
  kind: modelListing.shape.kind,
  /** The name under which it will be listed; no path, no ending. */
  name: z.string().min(1).max(200).refine(isPlainSegment),
  /** Whether the files go into a folder of their own; else there is one. */
  isFolder: z.boolean(),
  files: z.array(plannedFile).min(1).max(500),
  note: z.string().max(1000).nullable(),
});
export type DownloadPlan = z.infer<typeof downloadPlan>;

export interface PlanOptions {
  readonly get: HttpGet;
  readonly hubEndpoint: string;
  readonly tokens: AccessTokens;
  readonly signal: StopSignal;
  /** Where the person or the catalogue says what it is; else the files tell. */
  readonly kind?: DownloadKind | null;
  readonly retryDelaysMs?: readonly number[];
}

const MAX_JSON_BYTES = 16 * 2 ** 20;
const MAX_TREE_PAGES = 20;
/** Headers of checkpoints take some hundred kilobytes. */
const PROBE_BYTES = 2 ** 20;
const GENERIC_NAMES = /^(pytorch_lora_weights|diffusion_pytorch_model|model|adapter_model|lora)$/i;

/** Asks the host what a model is made of. Rejects with `GenerationError`. */
export function planDownload(
  reference: ModelReference,
  options: PlanOptions,
): Promise<DownloadPlan> {
  switch (reference.type) {
    case 'hub-repo':
      return planRepository(reference, options);
    case 'hub-file':
      return planHubFile(reference, options);
    case 'civitai':
      return planCivitai(reference, {
        ...options,
        tokens: { ...options.tokens, civitai: reference.token ?? options.tokens.civitai },
      });
    case 'url':
      return planAddress(reference.url, options);
  }
}

const hubEntries = z.array(hubEntry).max(5000);
const repository = z.object({ sha: z.string().regex(/^[0-9a-f]{40,64}$/) });

async function readTree(repo: string, revision: string | null, options: PlanOptions) {
  const { hubEndpoint } = options;
  const page = `${hubEndpoint}/${repo}`;
  const root = `${hubEndpoint}/api/models/${repo}`;
  const about = `${root}/revision/${encodeURIComponent(revision ?? 'main')}`;
  const { sha } = (await readJson(about, repository, page, options)).value;
  const entries: HubEntry[] = [];
  let next: string | null = `${root}/tree/${sha}?recursive=true`;
  for (let count = 0; next !== null && count < MAX_TREE_PAGES; count += 1) {
    const list: JsonReply<HubEntry[]> = await readJson(next, hubEntries, page, options);
    entries.push(...list.value);
    // A mirror may name the hub itself; the token stays with the endpoint either way.
    next = list.link === null ? null : new webPlatform.URL(list.link, next).href;
  }
  const planned = (entry: HubEntry, path = entry.path): PlannedFile => ({
    url: `${page}/resolve/${sha}/${entry.path.split('/').map(encodeURIComponent).join('/')}`,
    path,
    sizeBytes: entry.lfs?.size ?? entry.size,
    sha256: hubSha256(entry),
  });
  return { page, entries, planned };
}

async function planRepository(
  { repo, revision }: Extract<ModelReference, { type: 'hub-repo' }>,
  options: PlanOptions,
): Promise<DownloadPlan> {
  const { page, entries, planned } = await readTree(repo, revision, options);
  const { layout, files, note } = chooseHubFiles(repo, entries);
  const name = repo.split('/')[1] ?? repo;
  const common = { title: repo, page, name, note };
  if (layout === 'folder') {
    const folder = files.map((file) => planned(file));
    return { ...common, kind: 'checkpoint', isFolder: true, files: folder };
  }
  if (layout === 'component') {
    const kind = await componentKind(repo, planned, files, page, options);
    if (kind === 'controlnet') {
      return { ...common, kind, isFolder: true, files: files.map((file) => planned(file)) };
    }
    const weights = files.filter(({ path }) => path.endsWith('.safetensors'));
    const [only] = weights;
    if (only && weights.length === 1) {
      const file = planned(only, `${name}.safetensors`);
      return { ...common, kind, isFolder: false, files: [file] };
    }
  }
  const [only] = files;
  if (!only || layout === 'component') throw unknownKind(repo);
  const file = planned(only, `${name}.safetensors`);
  const kind = options.kind ?? (await probeKind(file, page, options));
  return { ...common, kind, isFolder: false, files: [file] };
}

const COMPONENT_KINDS: Readonly<Record<string, DownloadKind>> = {
  AutoencoderKL: 'vae',
  AutoencoderTiny: 'taesd',
  ControlNetModel: 'controlnet',
};

async function componentKind(
  repo: string,
  planned: (entry: HubEntry) => PlannedFile,
  files: readonly HubEntry[],
  page: string,
  options: PlanOptions,
): Promise<DownloadKind> {
  const config = files.find(({ path }) => path === 'config.json');
  if (!config) throw unknownKind(repo);
  const fields = z.object({ _class_name: z.string().default('') });
  const { value } = await readJson(planned(config).url, fields, page, options);
  const kind = COMPONENT_KINDS[value._class_name] ?? options.kind;
  if (!kind) throw unknownKind(repo);
  return kind;
}

function unknownKind(what: string): GenerationError {
  return new GenerationError(
    'unsupported',
    `${what} is nothing that Easel knows: neither a checkpoint, a LoRA, a VAE, a textual inversion, an upscaler nor a ControlNet. Say what it is if you know it.`,
  );
}

async function planHubFile(
  { repo, revision, path }: Extract<ModelReference, { type: 'hub-file' }>,
  options: PlanOptions,
): Promise<DownloadPlan> {
  const { page, entries, planned } = await readTree(repo, revision, options);
  const entry = entries.find((each) => each.type === 'file' && each.path === path);
  if (!entry) {
    throw new GenerationError('not-found', `${repo} holds no file ${path} at ${revision}.`);
  }
  const fileName = checkedFileName(path.split('/').at(-1) ?? path);
  const stem = fileName.slice(0, -'.safetensors'.length);
  const name = GENERIC_NAMES.test(stem) ? (repo.split('/')[1] ?? stem) : stem;
  const file = planned(entry, `${name}.safetensors`);
  const kind = options.kind ?? (await probeKind(file, page, options));
  const title = `${repo}/${path}`;
  return { title, page, name, kind, isFolder: false, files: [file], note: null };
}

/** A safetensors file's name as it may be written. Throws for pickles and for others. */
function checkedFileName(given: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the point
  const name = given.replace(/[\u0000-\u001f\u007f<>:"/\\|?*]+/g, '_').replace(/^\.+/, '');
  if (/\.(ckpt|pt|pth|bin|zip)$/i.test(name)) {
    throw new GenerationError(
      'unsupported',
      `${name} is a pickled file, which can run code when it is read. Look for a .safetensors file of this model.`,
    );
  }
  const stem = name
    .replace(/\.safetensors$/i, '')
    .slice(0, 180)
    .replace(/[. ]+$/, '');
  if (!isPlainSegment(stem)) {
    throw new GenerationError('unsupported', `"${name.slice(0, 200)}" is no name for a file.`);
  }
  return `${stem}.safetensors`;
}

const CIVITAI_KINDS: Readonly<Record<string, DownloadKind>> = {
  Checkpoint: 'checkpoint',
  LORA: 'lora',
  LoCon: 'lora',
  DoRA: 'lora',
  TextualInversion: 'embedding',
  VAE: 'vae',
  Upscaler: 'esrgan',
  Controlnet: 'controlnet',
};

const civitaiFile = z.object({
  name: z.string().max(500),
  type: z.string().default('Model'),
  primary: z.boolean().nullish(),
  sizeKB: z.number().nullish(),
  downloadUrl: z.string().max(4000),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  hashes: z.record(z.string(), z.string().nullish()).nullish(),
});
type CivitaiFile = z.infer<typeof civitaiFile>;
const civitaiVersion = z.object({
  id: z.int(),
  modelId: z.int().nullish(),
  name: z.string().default(''),
  model: z.object({ name: z.string(), type: z.string() }).nullish(),
  files: z.array(civitaiFile),
});
const civitaiModel = z.object({ modelVersions: z.array(z.object({ id: z.int() })) });

async function planCivitai(
  reference: Extract<ModelReference, { type: 'civitai' }>,
  options: PlanOptions,
): Promise<DownloadPlan> {
  const page =
    reference.modelId === null ? null : `${CIVITAI_ENDPOINT}/models/${reference.modelId}`;
  let { versionId } = reference;
  if (versionId === null) {
    const address = `${CIVITAI_ENDPOINT}/api/v1/models/${reference.modelId}`;
    const { value } = await readJson(address, civitaiModel, page, options);
    versionId = value.modelVersions[0]?.id ?? null;
  }
  const address = `${CIVITAI_ENDPOINT}/api/v1/model-versions/${versionId}`;
  const { value } = await readJson(address, civitaiVersion, page, options);
  const chosen = chooseCivitaiFile(value.files, reference.wants);
  const fileName = checkedFileName(chosen.name);
  const url = new webPlatform.URL(chosen.downloadUrl, CIVITAI_ENDPOINT).href;
  const sha256 = chosen.hashes?.SHA256?.toLowerCase() ?? '';
  const file: PlannedFile = {
    url,
    path: fileName,
    // Civitai rounds its sizes; the download itself tells the bytes.
    sizeBytes: null,
    sha256: /^[0-9a-f]{64}$/.test(sha256) ? sha256 : null,
  };
  const modelPage = page ?? (value.modelId ? `${CIVITAI_ENDPOINT}/models/${value.modelId}` : null);
  const sized = await probe(file, modelPage, options);
  const known = value.model ? CIVITAI_KINDS[value.model.type] : undefined;
  const told = chosen.type === 'VAE' ? 'vae' : known;
  const kind = options.kind ?? told ?? kindOfTensors(sized.header?.tensors ?? []);
  if (!kind) throw unknownKind(fileName);
  return {
    title: [value.model?.name ?? fileName, value.name].filter((part) => part !== '').join(' '),
    page: modelPage,
    name: fileName.slice(0, -'.safetensors'.length),
    kind,
    isFolder: false,
    files: [{ ...file, sizeBytes: sized.sizeBytes }],
    note: null,
  };
}

function chooseCivitaiFile(
  files: readonly CivitaiFile[],
  wants: Readonly<Record<string, string>>,
): CivitaiFile {
  const usable = files.filter(({ name }) => /\.safetensors$/i.test(name));
  const matches = (file: CivitaiFile) =>
    Object.entries(wants).every(([name, value]) => {
      const found = name === 'type' ? file.type : file.metadata?.[name];
      return typeof found !== 'string' || found.toLowerCase() === value.toLowerCase();
    });
  const wanted = usable.filter(matches);
  const chosen = wanted.find(({ primary }) => primary) ?? wanted[0];
  if (chosen) return chosen;
  const other = files[0]?.name;
  throw new GenerationError(
    'unsupported',
    `This version offers no such .safetensors file${other === undefined ? '' : ` (there is ${other})`}. Easel reads no pickled files, because they can run code.`,
  );
}

async function planAddress(url: string, options: PlanOptions): Promise<DownloadPlan> {
  const { host, pathname, origin } = new webPlatform.URL(url);
  const last = decodeURIComponent(pathname.split('/').at(-1) ?? '');
  if (/\.(ckpt|pt|pth|bin)$/i.test(last)) checkedFileName(last);
  const unsized = { url, path: last || host, sizeBytes: null, sha256: null };
  const { sizeBytes, header, fileName, sha256 } = await probe(unsized, null, options);
  const name = checkedFileName(fileName ?? (last || host));
  const kind = options.kind ?? kindOfTensors(header?.tensors ?? []);
  if (!kind) throw unknownKind(name);
  return {
    title: name,
    page: origin,
    name: name.slice(0, -'.safetensors'.length),
    kind,
    isFolder: false,
    files: [{ url, path: name, sizeBytes, sha256 }],
    note: null,
  };
}

async function probeKind(file: PlannedFile, page: string, options: PlanOptions) {
  const { header } = await probe(file, page, options);
  const kind = kindOfTensors(header.tensors);
  if (kind) return kind;
  throw unknownKind(file.path);
}

interface Probe {
  readonly sizeBytes: number;
  readonly header: HeaderFacts;
  /** The name that the host gives the file, or null. */
  readonly fileName: string | null;
  readonly sha256: string | null;
}

/** Reads the header of a safetensors file and no more: what it is, how large it is. */
async function probe(
  { url, path, sizeBytes }: PlannedFile,
  page: string | null,
  options: PlanOptions,
): Promise<Probe> {
  const facts = {
    fileName: null as string | null,
    sha256: null as string | null,
    total: sizeBytes,
  };
  const read = async (bytes: number) => {
    const reply = await open(url, page, options, { range: `bytes=0-${bytes - 1}` });
    refuseWebPage(reply, url);
    facts.fileName ??= dispositionName(reply.header('content-disposition'));
    facts.sha256 ??= linkedSha256(reply);
    facts.total = totalBytes(reply) ?? facts.total;
    return readPrefix(reply, bytes);
  };
  const retry = { signal: options.signal, delaysMs: delays(options), what: path };
  const start = await withRetries(() => read(PROBE_BYTES), retry);
  const end = headerEnd(path, start);
  const bytes = end <= start.length ? start : await withRetries(() => read(end), retry);
  const header = readHeader(path, bytes);
  const { total } = facts;
  if (total !== null && total !== header.fileBytes) {
    throw new GenerationError(
      'invalid-model',
      `${path} has ${total} bytes at the host, but its own header speaks of ${header.fileBytes}: the file there is damaged or cut short.`,
    );
  }
  return { header, sizeBytes: header.fileBytes, fileName: facts.fileName, sha256: facts.sha256 };
}

/** The whole file's size as an answer to a range tells it, or null. */
export function totalBytes(reply: HttpReply): number | null {
  const total = /\/(\d{1,15})$/.exec(reply.header('content-range') ?? '')?.[1];
  if (total !== undefined) return Number(total);
  const length = reply.header('content-length');
  const isWhole = reply.status === 200 && reply.header('content-encoding') === null;
  return isWhole && length !== null && /^\d{1,15}$/.test(length) ? Number(length) : null;
}

/** The hub names a large file's SHA-256 in a header of its redirect. */
function linkedSha256(reply: HttpReply): string | null {
  const tag =
    reply
      .header('x-linked-etag')
      ?.replace(/^W\/|"/g, '')
      .toLowerCase() ?? '';
  return /^[0-9a-f]{64}$/.test(tag) ? tag : null;
}

function dispositionName(value: string | null): string | null {
  if (value === null) return null;
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(value)?.[1];
  try {
    if (extended !== undefined) return decodeURIComponent(extended);
  } catch {
    // The plain form follows.
  }
  return /filename="?([^";]+)"?/i.exec(value)?.[1] ?? null;
}

function delays({ retryDelaysMs = RETRY_DELAYS_MS }: PlanOptions): readonly number[] {
  return retryDelaysMs;
}

async function open(
  url: string,
  page: string | null,
  options: PlanOptions,
  headers: Readonly<Record<string, string>>,
): Promise<HttpReply> {
  const { get, tokens, signal, hubEndpoint } = options;
  const reply = await send(get, { url, headers, tokens, signal });
  const context: HostContext = { hubEndpoint, tokens, page };
  checkStatus(reply, url, context);
  return reply;
}

interface JsonReply<T> {
  readonly value: T;
  /** Address of the list's next page, or null. */
  readonly link: string | null;
}

async function readJson<T>(
  url: string,
  schema: z.ZodType<T>,
  page: string | null,
  options: PlanOptions,
): Promise<JsonReply<T>> {
  const { host } = new webPlatform.URL(url);
  const read = async () => {
    const reply = await open(url, page, options, { accept: 'application/json' });
    refuseWebPage(reply, url);
    const link = /<([^>]+)>;\s*rel="next"/.exec(reply.header('link') ?? '')?.[1] ?? null;
    return { bytes: await readPrefix(reply, MAX_JSON_BYTES), link };
  };
  const { bytes, link } = await withRetries(read, {
    ...{ signal: options.signal, delaysMs: delays(options), what: `The list of files at ${host}` },
  });
  let body: unknown;
  try {
    body = JSON.parse(new webPlatform.TextDecoder('utf-8').decode(bytes));
  } catch {
    body = null;
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return { value: parsed.data, link };
  throw new GenerationError(
    'download-failed',
    `${host} answered with something else than the list of files that was asked for. Try again later.`,
  );
}
