import { z } from 'zod';
import { GenerationError } from '../errors.ts';
import { webPlatform } from '../web-platform.ts';
import type { DownloadKind } from './file-kind.ts';
import { type JsonReply, probeKind, readJson } from './host-reads.ts';
import { chooseHubFiles, type HubEntry, hubEntry, hubSha256 } from './hub-files.ts';
import { expectedName, type ModelReference } from './model-reference.ts';
import {
  checkedFileName,
  type DownloadPlan,
  type PlannedFile,
  type PlanOptions,
  unknownKind,
} from './plan-parts.ts';

const MAX_TREE_PAGES = 20;

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

/** Plans a whole repository: a diffusers folder, a component, or its best single file. */
export async function planRepository(
  reference: Extract<ModelReference, { type: 'hub-repo' }>,
  options: PlanOptions,
): Promise<DownloadPlan> {
  const { repo, revision } = reference;
  const { page, entries, planned } = await readTree(repo, revision, options);
  const { layout, files, note } = chooseHubFiles(repo, entries);
  const name = expectedName(reference) ?? repo;
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

/** Plans one file of a repository. */
export async function planHubFile(
  reference: Extract<ModelReference, { type: 'hub-file' }>,
  options: PlanOptions,
): Promise<DownloadPlan> {
  const { repo, revision, path } = reference;
  const { page, entries, planned } = await readTree(repo, revision, options);
  const entry = entries.find((each) => each.type === 'file' && each.path === path);
  if (!entry) {
    throw new GenerationError('not-found', `${repo} holds no file ${path} at ${revision}.`);
  }
  checkedFileName(path.split('/').at(-1) ?? path);
  const name = expectedName(reference) ?? repo;
  const file = planned(entry, `${name}.safetensors`);
  const kind = options.kind ?? (await probeKind(file, page, options));
  const title = `${repo}/${path}`;
  return { title, page, name, kind, isFolder: false, files: [file], note: null };
}
