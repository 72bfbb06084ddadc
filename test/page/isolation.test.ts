import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ensureIsolation,
  type IsolationBrowser,
  loadAgain,
  settleServiceWorker,
} from '../../web/page/isolation.ts';

const SCRIPT = 'https://me.github.io/easel/sw.js';

function fakeBrowser(overrides: Partial<IsolationBrowser> = {}) {
  const calls: string[] = [];
  const notes = new Map<string, string>();
  const registration = {} as ServiceWorkerRegistration;
  const browser: IsolationBrowser = {
    isIsolated: false,
    isSecure: true,
    serviceWorker: {
      controller: null,
      ready: Promise.resolve(registration),
      register: async (url) => {
        calls.push(`register ${url}`);
        return registration;
      },
    },
    session: {
      getItem: (key) => notes.get(key) ?? null,
      setItem: (key, value) => void notes.set(key, value),
    },
    reload: () => void calls.push('reload'),
    ...overrides,
  };
  return { browser, calls };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('ensureIsolation', () => {
  it('registers and reloads once, never in a loop', async () => {
    const { browser, calls } = fakeBrowser();
    expect(await ensureIsolation(browser, SCRIPT)).toBe(true);
    expect(calls).toEqual([`register ${SCRIPT}`, 'reload']);
    expect(await ensureIsolation(browser, SCRIPT)).toBe(false);
    expect(calls).toHaveLength(2);
  });

  it.each([
    ['the host sends the headers', { isIsolated: true }],
    ['the page is not secure', { isSecure: false }],
    ['there are no service workers', { serviceWorker: null }],
    ['nothing can be noted', { session: null }],
  ])('does nothing where %s', async (_name, overrides) => {
    const { browser, calls } = fakeBrowser(overrides);
    expect(await ensureIsolation(browser, SCRIPT)).toBe(false);
    expect(calls).toEqual([]);
  });

  it('goes on without where registering fails or never ends', async () => {
    const ready = new Promise<ServiceWorkerRegistration>(() => {});
    const failing = fakeBrowser({
      serviceWorker: { controller: null, ready, register: () => Promise.reject(new Error('no')) },
    });
    expect(await ensureIsolation(failing.browser, SCRIPT)).toBe(false);
    const hanging = fakeBrowser({
      serviceWorker: { controller: null, ready, register: () => ready },
    });
    const outcome = ensureIsolation(hanging.browser, SCRIPT);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await outcome).toBe(false);
    expect(hanging.calls).toEqual([]);
  });
});

describe('settleServiceWorker', () => {
  function fakeContainer({ controller = null }: { controller?: ServiceWorker | null } = {}) {
    let takeControl = () => {};
    const calls: string[] = [];
    const registration = {
      unregister: async () => calls.push('unregister') > 0,
    } as unknown as ServiceWorkerRegistration;
    const container = {
      register: async () => {
        calls.push('register');
        return registration;
      },
      getRegistration: async () => registration,
      controller,
      addEventListener: (_: string, listener: () => void) => {
        takeControl = listener;
      },
    };
    return { calls, container, takeControl: () => takeControl() };
  }

  it('waits for it where the first load went without, and asks again for what that loaded', async () => {
    const { container, takeControl } = fakeContainer();
    const settled = settleServiceWorker(container, { scriptUrl: SCRIPT, hasBridge: false });
    takeControl();
    expect(await settled).toBe(true);
    const asked: string[] = [];
    await loadAgain('https://me.github.io/easel/', async (url) => {
      asked.push(String(url));
      throw new TypeError('Failed to fetch');
    });
    expect(asked[0]).toBe('https://me.github.io/easel/');

    const never = settleServiceWorker(fakeContainer().container, {
      ...{ scriptUrl: SCRIPT, hasBridge: false },
    });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await never).toBe(false);
  });

  it('keeps it on a static host and takes it away where a bridge answers', async () => {
    const { calls, container } = fakeContainer({ controller: {} as ServiceWorker });
    await settleServiceWorker(container, { scriptUrl: SCRIPT, hasBridge: false });
    await settleServiceWorker(container, { scriptUrl: SCRIPT, hasBridge: true });
    expect(calls).toEqual(['register', 'unregister']);
  });

  it('does without service workers, and where they are refused', async () => {
    await settleServiceWorker(null, { scriptUrl: SCRIPT, hasBridge: false });
    const refusing = {
      ...fakeContainer().container,
      register: () => Promise.reject(new DOMException('no', 'SecurityError')),
      getRegistration: () => Promise.reject(new DOMException('no', 'SecurityError')),
    };
    await settleServiceWorker(refusing, { scriptUrl: SCRIPT, hasBridge: false });
    await settleServiceWorker(refusing, { scriptUrl: SCRIPT, hasBridge: true });
  });
});
