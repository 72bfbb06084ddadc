import { describe, expect, test } from 'vitest';
import { planDownload } from '../../../protocol/downloads/download-plan.ts';
import {
  authorizationFor,
  type HttpGet,
  type HttpRequest,
} from '../../../protocol/downloads/http-client.ts';
import { parseModelReference } from '../../../protocol/downloads/model-reference.ts';
import { CHECKPOINT_TENSORS, LORA_TENSORS, safetensorsFile } from '../../fakes/bad-host.ts';

interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

/** A network of which only these addresses answer. */
function network(answers: Readonly<Record<string, Answer>>) {
  const asked: HttpRequest[] = [];
  const get: HttpGet = async (request) => {
    asked.push(request);
    const { status = 200, headers = {}, body = '' } = answers[request.url] ?? { status: 404 };
    const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    let isRead = false;
    return {
      status,
      header: (name) => headers[name] ?? null,
      async read() {
        if (isRead) return null;
        isRead = true;
        return bytes;
      },
      cancel() {},
    };
  };
  const plan = (text: string, kind: 'lora' | null = null) =>
    planDownload(parseModelReference(text), {
      ...{ get, kind, hubEndpoint: 'https://huggingface.co', signal: new AbortController().signal },
      ...{ tokens: { hub: 'h', civitai: 'c' }, retryDelaysMs: [1] },
    });
  return { asked, plan };
}

const SHA = 'ab'.repeat(32);
const file = (name: string, changes = {}) => ({
  ...{ name, type: 'Model', sizeKB: 1000, primary: false, hashes: { SHA256: SHA.toUpperCase() } },
  ...{ metadata: { format: 'SafeTensor', fp: 'fp16', size: 'pruned' } },
  downloadUrl: `https://civitai.com/api/download/models/7?n=${name}`,
  ...changes,
});
const version = (type: string, ...files: object[]) => ({
  ...{ id: 7, modelId: 3, name: 'v8', model: { name: 'Dream', type }, files },
});
const API = 'https://civitai.com/api/v1';
const BYTES = safetensorsFile(CHECKPOINT_TENSORS, 1000);

describe('a version at Civitai', () => {
  test('is its primary safetensors file, with kind, size and hash', async () => {
    const chosen = file('dream_8.safetensors', { primary: true });
    const { asked, plan } = network({
      [`${API}/model-versions/7`]: {
        body: version('Checkpoint', file('dream_8.ckpt'), file('other.safetensors'), chosen),
      },
      [chosen.downloadUrl]: { body: BYTES },
    });
    expect(await plan('https://civitai.com/models/3/dream?modelVersionId=7')).toEqual({
      title: 'Dream v8',
      page: 'https://civitai.com/models/3',
      kind: 'checkpoint',
      name: 'dream_8',
      isFolder: false,
      note: null,
      files: [
        {
          url: chosen.downloadUrl,
          path: 'dream_8.safetensors',
          sizeBytes: BYTES.length,
          sha256: SHA,
        },
      ],
    });
    expect(asked).toHaveLength(2);
  });

  test('is the file that the address asks for, and its key stays out of the plan', async () => {
    const full = file('full.safetensors', { metadata: { format: 'SafeTensor', fp: 'fp32' } });
    const { asked, plan } = network({
      [`${API}/model-versions/7`]: {
        body: version('LORA', file('x.safetensors', { primary: true }), full),
      },
      [full.downloadUrl]: { body: BYTES },
    });
    const found = await plan('https://civitai.com/api/download/models/7?fp=fp32&token=s3cret');
    expect(found).toMatchObject({ kind: 'lora', name: 'full' });
    expect(asked.every(({ tokens }) => tokens.civitai === 's3cret')).toBe(true);
    expect(JSON.stringify(found)).not.toContain('s3cret');
  });

  test('is the newest of a model where none is named', async () => {
    const newest = file('new.safetensors');
    const { plan } = network({
      [`${API}/models/3`]: { body: { modelVersions: [{ id: 7 }, { id: 6 }] } },
      [`${API}/model-versions/7`]: { body: version('TextualInversion', newest) },
      [newest.downloadUrl]: { body: BYTES },
    });
    expect(await plan('https://civitai.com/models/3')).toMatchObject({ kind: 'embedding' });
  });

  test('with pickles only, or behind a login, is refused with what to do', async () => {
    const pickled = network({
      [`${API}/model-versions/7`]: { body: version('Checkpoint', file('dream.ckpt')) },
    });
    await expect(pickled.plan('https://civitai.com/api/download/models/7')).rejects.toThrow(
      /no such \.safetensors file \(there is dream\.ckpt\)/,
    );
    const locked = file('x.safetensors');
    const early = network({
      [`${API}/model-versions/7`]: { body: version('Checkpoint', locked) },
      [locked.downloadUrl]: { status: 401 },
    });
    await expect(early.plan('https://civitai.com/api/download/models/7')).rejects.toThrow(
      /refuses this model to the API key given.*civitai\.com\/models\/3/,
    );
  });
});

describe('the hub', () => {
  const root = 'https://huggingface.co/api/models/a/b';
  const sha = 'd'.repeat(40);

  test('tells its files page by page, pinned to a commit', async () => {
    const entry = (path: string, size: number) => ({ type: 'file', path, size });
    const next = `${root}/tree/${sha}?recursive=true&cursor=x`;
    const { plan } = network({
      [`${root}/revision/main`]: { body: { sha } },
      [`${root}/tree/${sha}?recursive=true`]: {
        body: [entry('README.md', 1)],
        headers: { link: `<${next}>; rel="next"` },
      },
      [next]: { body: [entry('x.safetensors', BYTES.length)] },
      [`https://huggingface.co/a/b/resolve/${sha}/x.safetensors`]: { body: BYTES },
    });
    expect(await plan('a/b')).toMatchObject({
      kind: 'checkpoint',
      files: [
        { url: `https://huggingface.co/a/b/resolve/${sha}/x.safetensors`, path: 'b.safetensors' },
      ],
    });
  });

  test.each([
    ['AutoencoderKL', 'vae', false],
    ['AutoencoderTiny', 'taesd', false],
    ['ControlNetModel', 'controlnet', true],
  ])('says by its configuration that a component is a %s', async (name, kind, isFolder) => {
    const paths = ['config.json', 'diffusion_pytorch_model.safetensors'];
    const { plan } = network({
      [`${root}/revision/main`]: { body: { sha } },
      [`${root}/tree/${sha}?recursive=true`]: {
        body: paths.map((path) => ({ type: 'file', path, size: 9 })),
      },
      [`https://huggingface.co/a/b/resolve/${sha}/config.json`]: { body: { _class_name: name } },
    });
    const found = await plan('a/b');
    expect(found).toMatchObject({ kind, isFolder });
    expect(found.files.map(({ path }) => path)).toEqual(isFolder ? paths : ['b.safetensors']);
  });

  test('is not believed where it answers with something else', async () => {
    const { plan } = network({ [`${root}/revision/main`]: { body: { sha: 'main' } } });
    await expect(plan('a/b')).rejects.toThrow(/something else than the list of files/);
  });
});

test('an address names the file by its last part, by what the host calls it, and by its header', async () => {
  const lora = safetensorsFile(LORA_TENSORS, 1000);
  const disposition = `attachment; filename="..\\\\evil/n\u00e4me?.safetensors"`;
  const { plan } = network({
    'https://h.example/get?id=1': { body: lora, headers: { 'content-disposition': disposition } },
    'https://h.example/x%20y.safetensors': { body: lora, headers: { 'x-linked-etag': `"${SHA}"` } },
  });
  expect(await plan('https://h.example/get?id=1')).toMatchObject({
    kind: 'lora',
    name: '_evil_näme_',
  });
  const [named] = (await plan('https://h.example/x%20y.safetensors')).files;
  expect(named).toMatchObject({ path: 'x y.safetensors', sha256: SHA, sizeBytes: lora.length });
});

test('a key goes to its own host, over a line that others cannot read', () => {
  const access = { tokens: { hub: 'h', civitai: 'c' }, hubEndpoint: 'https://huggingface.co' };
  const header = (url: string, hubEndpoint = access.hubEndpoint) =>
    authorizationFor(new URL(url), { ...access, hubEndpoint });
  expect(header('https://huggingface.co/a/b')).toBe('Bearer h');
  expect(header('https://civitai.com/api')).toBe('Bearer c');
  expect(header('http://huggingface.co/a/b')).toBeNull();
  expect(header('https://huggingface.co.evil.example/')).toBeNull();
  expect(header('https://cdn.huggingface.co/')).toBeNull();
  expect(header('https://huggingface.co:444/')).toBeNull();
  expect(header('https://b2.civitai.com/')).toBeNull();
  expect(header('https://huggingface.co/', 'https://mirror.example')).toBeNull();
  expect(header('https://mirror.example/x', 'https://mirror.example')).toBe('Bearer h');
});
