import { type Signal, signal } from '@preact/signals';
import { z } from 'zod';
import type { Catalog } from '../../protocol/catalog.ts';
import {
  DOWNLOADS_PATH,
  type DownloadAction,
  type DownloadRequest,
  type DownloadView,
  downloadList,
  ENGINE_TOKEN_HEADER,
} from '../../protocol/downloads/download-view.ts';
import { parseError, serializeError } from '../../protocol/errors.ts';
import { findKnownModel, type KnownModel, nameOfModelId } from '../../protocol/known-models.ts';
import { TOKEN_PATH } from '../../protocol/relay.ts';
import type { DownloadWorkerMessage, DownloadWorkerRequest } from '../shared/download-protocol.ts';
import type { ActionContext } from './actions.ts';
import type { BridgeApi } from './bridge-api.ts';
import { keepStorage } from './compiled-models.ts';
import type { Problem } from './state.ts';

/** Whoever downloads: the bridge into its folders, or a worker of this tab into the browser's storage. */
export interface Downloader {
  /** Rejects with `GenerationError` for what names no model. */
  start(request: DownloadRequest): Promise<void>;
  act(id: string, action: DownloadAction): Promise<void>;
  /** Called with all downloads whenever something changed. */
  onViews(listener: (views: readonly DownloadView[]) => void): void;
}

/** What the Models view shows of downloads. */
export interface DownloadsState {
  readonly views: Signal<readonly DownloadView[]>;
  readonly problem: Signal<Problem | null>;
  /** What was typed: an id, a page, an address. */
  readonly reference: Signal<string>;
  readonly kind: Signal<DownloadRequest['kind']>;
  /** Keys for hosts; gone with the page. */
  readonly hubToken: Signal<string>;
  readonly civitaiToken: Signal<string>;
}

export function createDownloadsState(): DownloadsState {
  return {
    views: signal([]),
    problem: signal(null),
    reference: signal(''),
    kind: signal(null),
    hubToken: signal(''),
    civitaiToken: signal(''),
  };
}

const BUSY_POLL_MS = 1_000;
const IDLE_POLL_MS = 10_000;

const engineToken = z.object({ token: z.string() });

/** The bridge's downloads, asked for every second while there are any. */
export function createBridgeDownloader(api: BridgeApi): Downloader {
  let timer: ReturnType<typeof setTimeout> | null = null;
  let tell: (views: readonly DownloadView[]) => void = () => {};

  async function poll(): Promise<void> {
    if (timer !== null) clearTimeout(timer);
    let isBusy = false;
    try {
      const { downloads } = await api.get(DOWNLOADS_PATH, downloadList);
      tell(downloads);
      isBusy = downloads.some(isUnderWay);
    } catch {
      // The bridge is away, or asks for its password; the page says so elsewhere.
    }
    timer = setTimeout(() => void poll(), isBusy ? BUSY_POLL_MS : IDLE_POLL_MS);
  }

  async function post(path: string, body: unknown): Promise<void> {
    // Asked for anew: the bridge may have been started again since.
    const { token } = await api.get(TOKEN_PATH, engineToken);
    await api.post(path, body, { headers: { [ENGINE_TOKEN_HEADER]: token } });
    await poll();
  }

  return {
    start: (request) => post(DOWNLOADS_PATH, request),
    act: (id, action) => post(`${DOWNLOADS_PATH}/${id}/${action}`, {}),
    onViews(listener) {
      tell = listener;
      void poll();
    },
  };
}

/** The part of `Worker` that is used; tests hand in a fake. */
export interface DownloadWorkerLike {
  postMessage(message: DownloadWorkerRequest): void;
  addEventListener(
    type: 'message',
    listener: (event: { data: DownloadWorkerMessage }) => void,
  ): void;
}

function createDownloadWorker(): DownloadWorkerLike {
  return new Worker(new URL('../engine/downloads/worker.ts', import.meta.url), {
    type: 'module',
    name: 'easel-downloads',
  });
}

/** Downloads by this tab itself. */
export function createTabDownloader(createWorker = createDownloadWorker): Downloader {
  const worker = createWorker();
  const calls = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  let next = 1;
  let tell: (views: readonly DownloadView[]) => void = () => {};
  let last: readonly DownloadView[] = [];
  worker.addEventListener('message', ({ data }) => {
    if (data.type === 'views') {
      last = data.views;
      tell(last);
      return;
    }
    const call = calls.get(data.call);
    calls.delete(data.call);
    if (data.error) call?.reject(parseError(data.error));
    else call?.resolve();
  });
  const request = (build: (call: number) => DownloadWorkerRequest) =>
    new Promise<void>((resolve, reject) => {
      const call = next++;
      calls.set(call, { resolve, reject });
      worker.postMessage(build(call));
    });
  return {
    start: (asked) => request((call) => ({ type: 'start', call, request: asked })),
    act: (id, action) => request((call) => ({ type: 'act', call, id, action })),
    onViews(listener) {
      tell = listener;
      listener(last);
    },
  };
}

/** True for a download that changes by itself. */
export function isUnderWay({ state }: DownloadView): boolean {
  return ['waiting', 'looking', 'running', 'verifying'].includes(state);
}

type Context = Pick<ActionContext, 'state' | 'engine' | 'downloader'>;

/** Mirrors the downloads into the state; a model that has come is looked for. */
export function followDownloads({ state, engine, downloader }: Context): void {
  const known = new Map<string, DownloadView['state']>();
  downloader?.onViews((views) => {
    const hasNew = views.some(
      (view) => view.state === 'finished' && (known.get(view.id) ?? 'finished') !== 'finished',
    );
    known.clear();
    for (const view of views) known.set(view.id, view.state);
    state.downloads.views.value = views;
    if (hasNew) {
      engine.refreshModels().catch((error: unknown) => {
        state.downloads.problem.value = serializeError(error);
      });
    }
  });
}

function orNull(text: string): string | null {
  return text.trim() === '' ? null : text.trim();
}

/** Starts a download of what was typed, or of a known model. */
export async function startDownload(
  { state, downloader }: Context,
  reference: string,
  kind: DownloadRequest['kind'],
): Promise<boolean> {
  const { problem, hubToken, civitaiToken } = state.downloads;
  problem.value = null;
  if (!downloader) return false;
  // While a person's click is at hand, as some browsers ask back.
  if (state.server.value === 'static') void keepStorage(state);
  const known = findKnownModel(reference);
  try {
    await downloader.start({
      reference: known?.source ?? reference,
      kind: known?.kind ?? kind,
      tokens: { hub: orNull(hubToken.value), civitai: orNull(civitaiToken.value) },
    });
    return true;
  } catch (error) {
    problem.value = serializeError(error);
    return false;
  }
}

/** Starts what the form asks for, and empties it. */
export async function submitDownload(context: Context): Promise<void> {
  const { reference, kind } = context.state.downloads;
  if (reference.value.trim() === '') return;
  if (await startDownload(context, reference.value, kind.value)) reference.value = '';
}

/** Pauses, goes on with, or cancels a download; of a finished one `cancel` takes the line away. */
export async function actOnDownload(
  { state, downloader }: Context,
  id: string,
  action: DownloadAction,
): Promise<void> {
  state.downloads.problem.value = null;
  try {
    await downloader?.act(id, action);
  } catch (error) {
    state.downloads.problem.value = serializeError(error);
  }
}

/** Whether a known model is in the lists. */
export function isHere({ checkpoints, models = [] }: Catalog, { id, kind }: KnownModel): boolean {
  const name = nameOfModelId(id);
  const listed =
    kind === 'checkpoint' ? checkpoints : models.filter((model) => model.kind === kind);
  return listed.some((model) => model.name === name);
}

/** The download of a known model, where there is one. */
export function downloadOf(
  views: readonly DownloadView[],
  { source, id }: KnownModel,
): DownloadView | null {
  return views.find(({ reference }) => reference === source || reference === id) ?? null;
}
