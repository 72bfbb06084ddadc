import './jitless.ts';
import { effect } from '@preact/signals';
import { render } from 'preact';
import type { Engine } from '../shared/engine.ts';
import { followEngine } from './actions.ts';
import { followApiJobs } from './api-jobs.ts';
import { createBridgeApi } from './bridge-api.ts';
import { readLink } from './deep-link.ts';
import {
  createBridgeDownloader,
  createTabDownloader,
  type Downloader,
  followDownloads,
} from './downloads.ts';
import { createEngineClient } from './engine-client.ts';
import { loadGallery } from './gallery.ts';
import {
  browserShelves,
  createGalleryStore,
  type GalleryStore,
  outputThumbs,
  withChanges,
} from './gallery-store.ts';
import { ensureIsolation, isolationBrowser, loadAgain, settleServiceWorker } from './isolation.ts';
import { browserPictureShelf, keepSlot } from './kept-pictures.ts';
import { createOutputStore, type OutputStore, withOutputs } from './outputs.ts';
import { jobProgressView } from './progress-text.ts';
import { createRemoteEngine } from './remote-engine.ts';
import { loadSettings, saveSettings } from './settings.ts';
import { baseUrlOf, detectServer, engineConfigOf, isLoopback, type Server } from './startup.ts';
import { type AppState, createAppState, setFields } from './state.ts';
import { language, t } from './strings/strings.ts';
import { applyTheme } from './theme.ts';
import { makeThumbnail } from './thumbnail.ts';
import { createTokenCounter } from './token-counts.ts';
import { App } from './ui/app.tsx';
import { loadEdit } from './ui/lazy-edit.tsx';

/** Keeps the view and the address's fragment the same, so that Back works and views can be linked. */
function followAddress(state: AppState): void {
  const read = () => {
    const { view, form } = readLink(location.hash);
    setFields(state, form);
    state.view.value = view;
    // Settings are taken once: a reload must not undo what was changed since.
    if (location.hash.includes('?')) history.replaceState(null, '', `#${view}`);
  };
  addEventListener('hashchange', read);
  read();
  effect(() => {
    const wanted = `#${state.view.value}`;
    const isThere = location.hash === wanted || (location.hash === '' && wanted === '#create');
    if (!isThere) location.hash = wanted;
    scrollTo(0, 0);
  });
}

function persistSettings(state: AppState): void {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const write = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    state.keepsSettings.value = saveSettings(state.settings.peek());
  };
  let isFirst = true;
  effect(() => {
    void state.settings.value;
    if (isFirst) {
      isFirst = false;
      return;
    }
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(write, 400);
  });
  // A tab that closes within the delay must not lose what was typed last.
  addEventListener('pagehide', () => {
    if (timer !== null) write();
  });
}

/** Counts anew whenever a prompt or the checkpoint in memory changes. */
function followPrompts(state: AppState, engine: Engine): void {
  const count = createTokenCounter(engine, state.tokenCounts);
  effect(() => {
    void state.status.value.checkpoint;
    count(state.form.prompt.value, state.form.negativePrompt.value);
  });
}

/** A file dropped beside a field must not replace the page, and with it all that was typed. */
function guardDrops(): void {
  for (const type of ['dragover', 'drop']) {
    addEventListener(type, (event) => event.preventDefault());
  }
}

/** The gallery of this browser profile, the same in all its tabs. */
function openGallery(state: AppState): GalleryStore {
  const channel = new BroadcastChannel('easel-gallery');
  const store = withChanges(createGalleryStore(browserShelves()), () => channel.postMessage(null));
  const load = () => void loadGallery(state.gallery, store);
  channel.addEventListener('message', load);
  load();
  return store;
}

/** Brings back the pictures that Create had before a reload. */
function keepPictures({ init, controls }: AppState): void {
  const shelf = browserPictureShelf();
  void keepSlot(init, 'init', shelf);
  for (const [unit, slot] of controls.entries()) void keepSlot(slot, `control${unit}`, shelf);
}

/** The saved pictures of the bridge that this page came from. */
function openOutputs(state: AppState): OutputStore | null {
  if (state.server.value !== 'bridge') return null;
  const api = createBridgeApi(state.baseUrl.value);
  return createOutputStore(api, { thumbs: outputThumbs(), makeThumb: makeThumbnail });
}

/** The tab's title says how far the job is, for those who look at another tab. */
function followProgress(state: AppState): void {
  effect(() => {
    const percent = state.job.value ? jobProgressView(state.progress.value).percent : null;
    document.title = percent === null ? t.appName : t.titleWhileRunning(percent);
  });
}

/**
 * The engine of this tab; on another machine than the bridge's the one that is attached there, so
 * that a phone does not take jobs. Its owner can lend it all the same.
 */
function openEngine(state: AppState, server: Server): Engine {
  const api = createBridgeApi(state.baseUrl.value);
  const ownKeys = new Set<string>();
  if (server.kind === 'bridge') followApiJobs(state.apiJobs, api, { ownKeys });
  state.isFarPage.value = server.kind !== 'static' && !isLoopback(location.hostname);
  state.isRemote.value = state.isFarPage.value && !state.lendsDevice.peek();
  if (state.isRemote.value) return createRemoteEngine(api, { ownKeys });
  const chosen = state.form.checkpoint.peek();
  return createEngineClient(engineConfigOf(location.href, server, chosen));
}

/** With a bridge the bridge downloads; a page of a plain host does it itself. */
function openDownloader(state: AppState): Downloader | null {
  switch (state.server.value) {
    case 'bridge':
      return createBridgeDownloader(createBridgeApi(state.baseUrl.value));
    case 'static':
      return createTabDownloader();
    default:
      return null;
  }
}

async function main(): Promise<void> {
  document.documentElement.lang = language;
  const state = createAppState(loadSettings());
  effect(() => applyTheme(state.theme.value));
  const root = document.getElementById('app');
  if (!root) throw new Error('index.html has no #app');

  const baseUrl = baseUrlOf(document.baseURI);
  const server = await detectServer(baseUrl);
  const scriptUrl = new URL('sw.js', baseUrl).href;
  const browser = isolationBrowser();
  if (server.kind === 'static' && (await ensureIsolation(browser, scriptUrl))) {
    root.textContent = t.starting;
    return;
  }
  const hasBridge = server.kind !== 'static';
  const settled = settleServiceWorker(navigator.serviceWorker ?? null, { scriptUrl, hasBridge });
  // Before the engine starts, so that its files are kept too.
  if (!hasBridge && (await settled)) void loadAgain(location.href.replace(/[?#].*$/s, ''));
  state.server.value = server.kind;
  state.baseUrl.value = baseUrl;
  const engine = openEngine(state, server);
  followEngine(state, engine);
  followAddress(state);
  followPrompts(state, engine);
  persistSettings(state);
  keepPictures(state);
  guardDrops();
  followProgress(state);
  const browserStore = openGallery(state);
  const outputs = openOutputs(state);
  const galleryStore = outputs ? withOutputs(browserStore, outputs) : browserStore;
  const downloader = openDownloader(state);
  const context = {
    ...{ state, engine, galleryStore, makeThumb: makeThumbnail },
    ...(outputs === null ? {} : { outputs }),
    ...(downloader === null ? {} : { downloader }),
  };
  followDownloads(context);
  render(<App context={context} />, root);
  // Once the page stands, so that Edit opens at once, and without a connection too.
  setTimeout(() => void loadEdit().catch(() => {}), 2_000);
}

void main();
