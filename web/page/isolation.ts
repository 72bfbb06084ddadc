/** What `ensureIsolation` needs of the browser; tests hand in a fake. */
export interface IsolationBrowser {
  readonly isIsolated: boolean;
  readonly isSecure: boolean;
  /** Null where the browser has none (private windows of some browsers, plain http). */
  readonly serviceWorker: Pick<ServiceWorkerContainer, 'register' | 'ready' | 'controller'> | null;
  readonly session: Pick<Storage, 'getItem' | 'setItem'> | null;
  reload(): void;
}

const RELOADED_KEY = 'easel.reloaded-for-isolation';
const REGISTER_TIMEOUT_MS = 4_000;

/**
 * On a static host that sends no COOP/COEP headers, a service worker adds them, so that wasm gets
 * its threads. Takes effect with one reload; where that did not help the page goes on without.
 * Resolves true when the page is about to reload.
 */
export async function ensureIsolation(
  browser: IsolationBrowser,
  scriptUrl: string,
): Promise<boolean> {
  const { serviceWorker, session } = browser;
  if (browser.isIsolated || !browser.isSecure || !serviceWorker || !session) return false;
  try {
    // Without a note that lasts over the reload the page could reload for ever.
    if (session.getItem(RELOADED_KEY) !== null) return false;
    const activation = serviceWorker.register(scriptUrl).then(() => serviceWorker.ready);
    const isActive = await Promise.race([
      activation.then(() => true),
      new Promise<false>((resolve) => setTimeout(() => resolve(false), REGISTER_TIMEOUT_MS)),
    ]);
    if (!isActive) return false;
    session.setItem(RELOADED_KEY, '1');
    browser.reload();
    return true;
  } catch {
    return false;
  }
}

interface Container
  extends Pick<ServiceWorkerContainer, 'register' | 'getRegistration' | 'controller'> {
  addEventListener(
    type: 'controllerchange',
    listener: () => void,
    options: { readonly once: true },
  ): void;
}

const CONTROL_TIMEOUT_MS = 1_500;

/**
 * Keeps the service worker where it serves: on a static host, also for the next time without a network; gone where a
 * bridge answers, whose replies are nobody's to keep. Resolves true once the service worker sees all that is loaded
 * from now on, but did not see what was loaded until now.
 */
export async function settleServiceWorker(
  container: Container | null,
  { scriptUrl, hasBridge }: { scriptUrl: string; hasBridge: boolean },
): Promise<boolean> {
  try {
    if (hasBridge) await (await container?.getRegistration(scriptUrl))?.unregister();
    if (hasBridge || !container) return false;
    const wasControlled = container.controller !== null;
    const controlled = new Promise<boolean>((resolve) => {
      container.addEventListener('controllerchange', () => resolve(true), { once: true });
      setTimeout(() => resolve(false), CONTROL_TIMEOUT_MS);
    });
    const registered = container.register(scriptUrl);
    if (wasControlled) {
      registered.catch(() => {});
      return false;
    }
    await registered;
    return await controlled;
  } catch {
    // Private windows and plain http: the page works without.
    return false;
  }
}

/** Asks again for the page and what it has loaded, out of the browser's cache, so that the service worker keeps it. */
export async function loadAgain(pageUrl: string, fetchImpl: typeof fetch = fetch): Promise<void> {
  const loaded = performance.getEntriesByType('resource').map(({ name }) => name);
  const own = [pageUrl, ...loaded].filter((url) => url.startsWith(new URL(pageUrl).origin));
  await Promise.allSettled(own.map((url) => fetchImpl(url, { cache: 'force-cache' })));
}

/** The real browser. */
export function isolationBrowser(): IsolationBrowser {
  let session: Storage | null = null;
  try {
    session = globalThis.sessionStorage;
  } catch {
    // Storage is blocked: no note, no reload.
  }
  return {
    isIsolated: globalThis.crossOriginIsolated === true,
    isSecure: globalThis.isSecureContext === true,
    serviceWorker: navigator.serviceWorker ?? null,
    session,
    reload: () => location.reload(),
  };
}
