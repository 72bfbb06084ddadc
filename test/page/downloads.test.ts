import { describe, expect, test } from 'vitest';
import type { DownloadRequest, DownloadView } from '../../protocol/downloads/download-view.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { KNOWN_MODELS } from '../../protocol/known-models.ts';
import type { BridgeApi } from '../../web/page/bridge-api.ts';
import {
  actOnDownload,
  createBridgeDownloader,
  createTabDownloader,
  type Downloader,
  downloadOf,
  followDownloads,
  isHere,
  startDownload,
  submitDownload,
} from '../../web/page/downloads.ts';
import { createAppState } from '../../web/page/state.ts';
import type {
  DownloadWorkerMessage,
  DownloadWorkerRequest,
} from '../../web/shared/download-protocol.ts';
import { FakeEngine } from '../fakes/fake-engine.ts';

const view = (changes: Partial<DownloadView> = {}): DownloadView => ({
  ...{ id: '0123456789abcdef', reference: 'a/b', title: 'a/b', state: 'running', kind: null },
  ...{ name: null, page: null, doneBytes: 1, totalBytes: 2, bytesPerSecond: null },
  ...{ etaSeconds: null, note: null, error: null },
  ...changes,
});

function setUp() {
  const state = createAppState();
  const engine = new FakeEngine();
  const requests: DownloadRequest[] = [];
  let tell: (views: readonly DownloadView[]) => void = () => {};
  const problem = { next: null as Error | null };
  const downloader: Downloader = {
    async start(request) {
      if (problem.next) throw problem.next;
      requests.push(request);
    },
    async act(id, action) {
      if (problem.next) throw problem.next;
      engine.calls.push(`${action} ${id}`);
    },
    onViews(listener) {
      tell = listener;
    },
  };
  return {
    context: { state, engine, downloader },
    state,
    engine,
    requests,
    problem,
    tell: (...views: DownloadView[]) => tell(views),
  };
}

describe('downloads on the page', () => {
  test('are started from the field with the keys given, which is emptied then', async () => {
    const { context, state, requests } = setUp();
    const { reference, hubToken, kind } = state.downloads;
    await submitDownload(context);
    reference.value = 'a/b';
    hubToken.value = ' hf_x ';
    kind.value = 'lora';
    await submitDownload(context);
    expect(requests).toEqual([
      { reference: 'a/b', kind: 'lora', tokens: { hub: 'hf_x', civitai: null } },
    ]);
    expect(reference.value).toBe('');
  });

  test('that are refused keep what was typed, and say why', async () => {
    const { context, state, problem } = setUp();
    problem.next = new GenerationError('invalid-request', 'This names no model.');
    state.downloads.reference.value = 'nonsense';
    await submitDownload(context);
    expect(state.downloads.reference.value).toBe('nonsense');
    expect(state.downloads.problem.value?.message).toBe('This names no model.');
    await actOnDownload(context, 'x', 'pause');
    expect(state.downloads.problem.value?.code).toBe('invalid-request');
  });

  test('of a known model go to where it is today', async () => {
    const { context, requests } = setUp();
    await startDownload(context, 'runwayml/stable-diffusion-v1-5', null);
    expect(requests[0]).toMatchObject({
      ...{ reference: 'stable-diffusion-v1-5/stable-diffusion-v1-5', kind: 'checkpoint' },
    });
    const model = KNOWN_MODELS.find(({ id }) => id === 'stabilityai/sd-vae-ft-mse')!;
    expect(downloadOf([view(), view({ reference: model.source })], model)).not.toBeNull();
    expect(downloadOf([view()], model)).toBeNull();
  });

  test('of a known model are not offered where it is listed', () => {
    const model = KNOWN_MODELS.find(({ id }) => id === 'stabilityai/sd-vae-ft-mse')!;
    const listed = { name: 'sd-vae-ft-mse', source: 'bridge', filename: '', sizeBytes: 1 } as const;
    const checkpoint = { ...listed, sha256: null };
    expect(isHere({ checkpoints: [checkpoint] }, model)).toBe(false);
    expect(isHere({ checkpoints: [], models: [{ ...checkpoint, kind: 'vae' }] }, model)).toBe(true);
  });

  test('that finish are looked for by the engine, once', async () => {
    const { context, state, engine, tell } = setUp();
    followDownloads(context);
    tell(view());
    tell(view(), view({ id: 'f'.repeat(16), state: 'finished' }));
    expect(engine.calls).toEqual([]);
    tell(view({ state: 'finished' }));
    tell(view({ state: 'finished' }));
    expect(engine.calls).toEqual(['refresh']);
    expect(state.downloads.views.value).toHaveLength(1);
  });
});

test('the bridge is asked with the engine token of the moment', async () => {
  const posted: unknown[] = [];
  const api = {
    get: async (path: string) =>
      path.endsWith('engine-token')
        ? { token: 't0ken' }
        : { downloads: [view({ state: 'paused' })] },
    post: async (...given: unknown[]) => void posted.push(given),
  } as unknown as BridgeApi;
  const downloader = createBridgeDownloader(api);
  const seen: (readonly DownloadView[])[] = [];
  downloader.onViews((views) => seen.push(views));
  await downloader.act('0123456789abcdef', 'resume');
  expect(posted).toEqual([
    ['/easel/v1/downloads/0123456789abcdef/resume', {}, { headers: { 'x-easel-token': 't0ken' } }],
  ]);
  expect(seen.at(-1)).toHaveLength(1);
});

test('the worker answers each call by its number, with what is wrong', async () => {
  let receive: (event: { data: DownloadWorkerMessage }) => void = () => {};
  const sent: DownloadWorkerRequest[] = [];
  const downloader = createTabDownloader(() => ({
    postMessage: (message) => void sent.push(message),
    addEventListener: (_type, listener) => {
      receive = listener;
    },
  }));
  const seen: number[] = [];
  downloader.onViews((views) => seen.push(views.length));
  const first = downloader.start({
    reference: 'a/b',
    kind: null,
    tokens: { hub: null, civitai: null },
  });
  const second = downloader.act('x', 'cancel');
  receive({ data: { type: 'views', views: [view()] } });
  const error = { code: 'invalid-request', message: 'This names no model.' } as const;
  receive({ data: { type: 'done', call: sent[1]!.call, error: null } });
  receive({ data: { type: 'done', call: sent[0]!.call, error } });
  await second;
  await expect(first).rejects.toThrow('This names no model.');
  expect(seen).toEqual([0, 1]);
});
