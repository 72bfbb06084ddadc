import { useEffect, useMemo } from 'preact/hooks';
import { type BridgeApi, createBridgeApi } from '../bridge-api.ts';
import { useApp } from './context.ts';

/** The bridge that this page came from; null on a plain host and behind a password. */
export function useBridge(): BridgeApi | null {
  const { server, baseUrl } = useApp().state;
  const [kind, address] = [server.value, baseUrl.value];
  return useMemo(() => (kind === 'bridge' ? createBridgeApi(address) : null), [kind, address]);
}

/** Calls `read` now, every `everyMs` while the page is visible, and when it comes into sight again. */
export function usePolling(read: (() => void) | null, everyMs: number): void {
  useEffect(() => {
    if (!read) return;
    const readIfSeen = () => {
      if (document.visibilityState === 'visible') read();
    };
    read();
    const timer = setInterval(readIfSeen, everyMs);
    document.addEventListener('visibilitychange', readIfSeen);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', readIfSeen);
    };
  }, [read, everyMs]);
}
