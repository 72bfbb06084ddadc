import { GenerationError } from '../errors.ts';
import { type WebUrl, webPlatform } from '../web-platform.ts';

/** What a person names a model by: a repository, a file in one, a page of Civitai, an address. */
export type ModelReference =
  | { readonly type: 'hub-repo'; readonly repo: string; readonly revision: string | null }
  | {
      readonly type: 'hub-file';
      readonly repo: string;
      readonly revision: string;
      /** Below the repository, with `/`. */
      readonly path: string;
    }
  | {
      readonly type: 'civitai';
      readonly versionId: number | null;
      /** The model's page, whose newest version is meant where no version is named. */
      readonly modelId: number | null;
      /** Which of a version's files, as the download's address says: `format=SafeTensor&fp=fp16`. */
      readonly wants: Readonly<Record<string, string>>;
      /** A key that stood in the address; used for this download and kept nowhere. */
      readonly token: string | null;
    }
  | { readonly type: 'url'; readonly url: string };

/** The Hugging Face hub; a mirror has another root. */
export const HUB_ENDPOINT = 'https://huggingface.co';
export const CIVITAI_ENDPOINT = 'https://civitai.com';

const MAX_LENGTH = 2_000;
const OWN_HUB_HOSTS = ['huggingface.co', 'www.huggingface.co', 'hf.co'];
const CIVITAI_HOSTS = ['civitai.com', 'www.civitai.com', 'civitai.green', 'civitai.red'];
const REPO_PART = /^[A-Za-z0-9][\w.-]{0,95}$/;
const REVISION = /^[\w][\w./-]{0,199}$/;
const WANTS = ['type', 'format', 'size', 'fp'];

function invalid(message: string): GenerationError {
  return new GenerationError('invalid-request', message);
}

/** True for a text that names something to download rather than a model or a file at hand. */
export function looksLikeReference(text: string): boolean {
  return (
    /^(https?:\/\/|urn:air:)/i.test(text) || /^[A-Za-z0-9][\w.-]*\/[\w.-]+(@[\w./-]+)?$/.test(text)
  );
}

export interface ReferenceOptions {
  /** Root of the hub or of the mirror in use. */
  readonly hubEndpoint?: string;
}

/** Reads what a person typed or pasted. Throws `invalid-request` with what would be understood. */
export function parseModelReference(
  given: string,
  { hubEndpoint = HUB_ENDPOINT }: ReferenceOptions = {},
): ModelReference {
  const text = given.trim();
  if (text === '' || text.length > MAX_LENGTH) throw notUnderstood();
  const air = /^urn:air:[^:]*:[^:]*:civitai:(\d{1,12})(?:@(\d{1,12}))?/i.exec(text);
  if (air) return civitai(Number(air[1]), air[2] === undefined ? null : Number(air[2]));
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return parseAddress(text, hubEndpoint);
  const [path = '', revision = null, ...rest] = text.split('@');
  const [owner = '', name = '', ...below] = path.split('/');
  if (rest.length > 0) throw notUnderstood();
  return inRepository(owner, name, revision, below);
}

function notUnderstood(): GenerationError {
  return invalid(
    'This names no model. Give a Hugging Face repository (owner/name), the address of a page or file there, a Civitai page or download address, or the https address of a .safetensors file.',
  );
}

function civitai(modelId: number | null, versionId: number | null): ModelReference {
  return { type: 'civitai', modelId, versionId, wants: {}, token: null };
}

function parseAddress(text: string, hubEndpoint: string): ModelReference {
  let url: WebUrl;
  try {
    url = new webPlatform.URL(text);
  } catch {
    throw invalid('This address is not complete. Copy it again from the browser.');
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid('An address with a name or password in it is not taken. Remove them.');
  }
  const mirror = new webPlatform.URL(hubEndpoint);
  const folder = mirror.pathname.replace(/\/$/, '');
  if (url.host === mirror.host && url.pathname.startsWith(`${folder}/`)) {
    return parseHubPath(url.pathname.slice(folder.length));
  }
  const isWeb = url.protocol === 'https:' || url.protocol === 'http:';
  if (isWeb && OWN_HUB_HOSTS.includes(url.hostname)) return parseHubPath(url.pathname);
  if (isWeb && CIVITAI_HOSTS.includes(url.hostname)) return parseCivitai(url);
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
    return { type: 'url', url: url.href };
  }
  throw invalid(
    `Easel downloads over https only, and ${url.protocol.slice(0, -1)} is not. Use the https address.`,
  );
}

/** Whether a host is the machine itself, by its name. */
export function isLoopbackHost(hostname: string): boolean {
  return (
    /^(.+\.)?localhost\.?$/i.test(hostname) ||
    /^127(\.\d{1,3}){3}$/.test(hostname) ||
    hostname === '[::1]'
  );
}

function parseHubPath(pathname: string): ModelReference {
  const segments = pathname.split('/').filter((segment) => segment !== '');
  const [owner = '', name = '', what, revision, ...path] = segments.map(decode);
  if (['datasets', 'spaces', 'api', 'docs', 'models', 'collections'].includes(owner)) {
    throw invalid('This page of the hub is no model. Open a model there and copy its address.');
  }
  if (what === undefined) return inRepository(owner, name, null, []);
  if (['resolve', 'blob', 'raw', 'tree'].includes(what) && revision !== undefined) {
    if (path.length === 0) return inRepository(owner, name, revision, []);
    if (what !== 'tree') return inRepository(owner, name, revision, path);
  }
  throw invalid(
    'This is no file and no whole repository of the hub. Give the repository (owner/name), or the address of one file in it.',
  );
}

function inRepository(
  owner: string,
  name: string,
  revision: string | null,
  path: readonly string[],
): ModelReference {
  if (!REPO_PART.test(owner) || !REPO_PART.test(name)) throw notUnderstood();
  if (revision !== null && (!REVISION.test(revision) || revision.includes('..'))) {
    throw invalid(`"${revision}" is no revision: give a branch, a tag or a commit after the @.`);
  }
  const repo = `${owner}/${name}`;
  if (path.length === 0) return { type: 'hub-repo', repo, revision };
  if (!path.every(isPlainSegment)) throw notUnderstood();
  return { type: 'hub-file', repo, revision: revision ?? 'main', path: path.join('/') };
}

function parseCivitai(url: WebUrl): ModelReference {
  const [first, second, third, fourth] = url.pathname.split('/').filter((part) => part !== '');
  const token = url.searchParams.get('token');
  const wants: Record<string, string> = {};
  for (const name of WANTS) {
    const value = url.searchParams.get(name);
    if (value !== null && value.length <= 100) wants[name] = value;
  }
  const found = (modelId: number | null, versionId: number | null): ModelReference => ({
    ...{ type: 'civitai', modelId, versionId, wants, token },
  });
  if (first === 'api' && second === 'download' && third === 'models' && isId(fourth)) {
    return found(null, Number(fourth));
  }
  const version = url.searchParams.get('modelVersionId');
  if (first === 'models' && isId(second)) {
    return found(Number(second), isId(version ?? undefined) ? Number(version) : null);
  }
  throw invalid(
    'This page of Civitai is no model. Open a model there and copy its address, or the address of its Download button.',
  );
}

function isId(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,12}$/.test(text);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw notUnderstood();
  }
}

/** A name that stays where it is put: no way up, nothing hidden, no characters that file systems refuse. */
export function isPlainSegment(segment: string): boolean {
  return (
    // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
    /^[^\u0000-\u001f\u007f<>:"/\\|?*]{1,200}$/.test(segment) &&
    !segment.startsWith('.') &&
    !/[. ]$/.test(segment)
  );
}

/** File names that tell nothing: the repository's name is taken instead. */
const GENERIC_NAMES = /^(pytorch_lora_weights|diffusion_pytorch_model|model|adapter_model|lora)$/i;

/** The name that a model of the hub will have in the lists; null where only the host knows. */
export function expectedName(reference: ModelReference): string | null {
  if (reference.type !== 'hub-repo' && reference.type !== 'hub-file') return null;
  const repoName = reference.repo.split('/')[1] ?? null;
  if (reference.type === 'hub-repo') return repoName;
  const stem = (reference.path.split('/').at(-1) ?? '').replace(/\.safetensors$/i, '');
  return GENERIC_NAMES.test(stem) ? repoName : stem;
}

/** Two rounds of FNV-1a over a reference: the same one is the same download, in every tab and after a restart. */
export function referenceId(reference: ModelReference): string {
  const text = referenceText(reference);
  const round = (seed: number) => {
    let hash = seed;
    for (let i = 0; i < text.length; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    }
    return (hash >>> 0).toString(16).padStart(8, '0');
  };
  return round(0x811c9dc5) + round(0x2f6e2b1d);
}

/** The reference as anybody may see it: an address's query may hold what lets its owner in. */
export function shownReference(reference: ModelReference): string {
  const text = referenceText(reference);
  return reference.type === 'url' ? text.replace(/[?#].*$/, '') : text;
}

/** The reference in one line, to be read again; without the key of a Civitai address. */
export function referenceText(reference: ModelReference): string {
  switch (reference.type) {
    case 'hub-repo':
      return reference.revision === null
        ? reference.repo
        : `${reference.repo}@${reference.revision}`;
    case 'hub-file': {
      const { repo, revision, path } = reference;
      const below = path.split('/').map(encodeURIComponent).join('/');
      return `${HUB_ENDPOINT}/${repo}/resolve/${encodeURIComponent(revision)}/${below}`;
    }
    case 'civitai': {
      const { modelId, versionId, wants } = reference;
      if (versionId === null) return `${CIVITAI_ENDPOINT}/models/${modelId}`;
      const query = Object.entries(wants).map(
        ([name, value]) => `${name}=${encodeURIComponent(value)}`,
      );
      const address = `${CIVITAI_ENDPOINT}/api/download/models/${versionId}`;
      return query.length === 0 ? address : `${address}?${query.join('&')}`;
    }
    case 'url':
      return reference.url;
  }
}
