import { z } from 'zod';
import { DownloadManager } from '../../../protocol/downloads/download-manager.ts';
import { NO_TOKENS } from '../../../protocol/downloads/http-client.ts';
import { HUB_ENDPOINT } from '../../../protocol/downloads/model-reference.ts';
import { serializeError } from '../../../protocol/errors.ts';
import type {
  DownloadWorkerMessage,
  DownloadWorkerRequest,
} from '../../shared/download-protocol.ts';
import { openKeyValueStore } from '../models/key-value-store.ts';
import { withLock } from '../models/locks.ts';
import { browserStorageUse } from '../models/storage-room.ts';
import { createBrowserHttpGet } from './browser-http-get.ts';
import { BrowserDownloadStorage } from './browser-storage.ts';

/**
 * Entry of the worker that downloads into the browser's storage. Not the engine's: a pass of a model
 * blocks that one for seconds, and a hidden page's own timers are slowed.
 */

// The page's content security policy forbids the code generation that zod would use.
z.config({ jitless: true });

const SHOW_MS = 250;

const storage = new BrowserDownloadStorage({
  open: () => openKeyValueStore('easel-files'),
  storageUse: browserStorageUse,
});

const manager = new DownloadManager({
  storage,
  get: createBrowserHttpGet(HUB_ENDPOINT),
  hubEndpoint: HUB_ENDPOINT,
  tokens: NO_TOKENS,
  sendsIfRange: false,
  exclusively: (id, task) =>
    withLock(`easel-download:${id}`, async () => {
      if (await storage.isOpen(id)) await task();
    }),
});

function send(message: DownloadWorkerMessage): void {
  postMessage(message);
}

let isShown = false;

function show(): void {
  isShown = false;
  const views = manager.views();
  send({ type: 'views', views });
  if (views.some(({ state }) => ['looking', 'running', 'verifying'].includes(state))) showSoon();
}

function showSoon(): void {
  if (isShown) return;
  isShown = true;
  setTimeout(show, SHOW_MS);
}

async function answer(request: DownloadWorkerRequest): Promise<void> {
  try {
    if (request.type === 'start') manager.start(request.request);
    else await manager.act(request.id, request.action);
    send({ type: 'done', call: request.call, error: null });
  } catch (error) {
    send({ type: 'done', call: request.call, error: serializeError(error) });
  }
}

addEventListener('message', ({ data }: MessageEvent<DownloadWorkerRequest>) => void answer(data));
manager.onChange(() => {
  send({ type: 'views', views: manager.views() });
  showSoon();
});
manager.restore().catch((error: unknown) => {
  console.warn('Earlier downloads could not be looked up.', error);
});
