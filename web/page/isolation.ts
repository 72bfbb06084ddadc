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

/**
 * Keeps the service worker where it serves: on a static host, also for the next time without a
 * network; gone where a bridge answers, whose replies are nobody's to keep.
 */
export async function settleServiceWorker(
  container: Pick<ServiceWorkerContainer, 'register' | 'getRegistration'> | null,
  { scriptUrl, hasBridge }: { scriptUrl: string; hasBridge: boolean },
): Promise<void> {
  try {
    if (hasBridge) await (await container?.getRegistration(scriptUrl))?.unregister();
    else await container?.register(scriptUrl);
  } catch {
    // Private windows and plain http: the page works without.
  }
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
