import {
  authorizationFor,
  type HttpGet,
  type HttpReply,
  type HttpRequest,
  TransientError,
} from '../../../protocol/downloads/http-client.ts';
import type { StopSignal } from '../../../protocol/web-platform.ts';

/** The browser's own signal for one of either side. */
function nativeSignal(signal: StopSignal): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const stop = () => controller.abort(signal.reason);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return {
    signal: controller.signal,
    release: () => signal.removeEventListener('abort', stop),
  };
}

/**
 * GET as a web page may send it: hosts must allow that (CORS), redirects are followed by the browser,
 * which takes the key off where one leads to another host (Fetch Standard, HTTP-redirect fetch, 13).
 */
export function createBrowserHttpGet(hubEndpoint: string): HttpGet {
  return async function get(asked: HttpRequest): Promise<HttpReply> {
    const url = new URL(asked.url);
    const { signal, release } = nativeSignal(asked.signal);
    const authorization = authorizationFor(url, { tokens: asked.tokens, hubEndpoint });
    let response: Response;
    try {
      response = await fetch(url, {
        headers: { ...asked.headers, ...(authorization === null ? {} : { authorization }) },
        signal,
        // Nothing of this page goes along, and nothing is kept twice.
        credentials: 'omit',
        referrerPolicy: 'no-referrer',
        cache: 'no-store',
      });
    } catch (cause) {
      release();
      asked.signal.throwIfAborted();
      throw new TransientError(
        `${url.host} does not answer this page. Not every host lets web pages fetch its files; the bridge ("npm start") can fetch from all`,
        { cause },
      );
    }
    const reader = response.body?.getReader();
    return {
      status: response.status,
      header: (name) => response.headers.get(name),
      async read() {
        const result = await reader?.read();
        return !result || result.done ? null : result.value;
      },
      cancel() {
        release();
        // Rejects where the connection is broken already.
        reader?.cancel().catch(() => {});
      },
    };
  };
}
