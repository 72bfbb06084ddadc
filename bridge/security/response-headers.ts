import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../app-env.ts';
import { setLateHeader } from './late-header.ts';

/** Where the page may fetch models that its user asks for. */
const MODEL_HOSTS =
  'https://huggingface.co https://*.huggingface.co https://*.hf.co https://civitai.com https://*.civitai.com';

const PAGE_POLICY = [
  "default-src 'self'",
  // The runtime is WebAssembly; its threads start from blob addresses.
  "script-src 'self' 'wasm-unsafe-eval' blob:",
  "worker-src 'self' blob:",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  `connect-src 'self' blob: data: ${MODEL_HOSTS}`,
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'self'",
].join('; ');

/** Headers of every reply; a route that set its own keeps them. */
export function responseHeaders(): MiddlewareHandler<AppEnv> {
  const headers: readonly (readonly [string, string])[] = [
    ['x-content-type-options', 'nosniff'],
    ['referrer-policy', 'no-referrer'],
    ['cross-origin-resource-policy', 'same-origin'],
    // Both together give the page shared memory, and so the wasm provider its threads.
    ['cross-origin-opener-policy', 'same-origin'],
    ['cross-origin-embedder-policy', 'require-corp'],
    ['content-security-policy', PAGE_POLICY],
  ];
  return async function responseHeaders(c, next) {
    await next();
    for (const [name, value] of headers) {
      if (!c.res.headers.has(name)) setLateHeader(c, name, value);
    }
  };
}

/** For pictures and other bytes that somebody else made: nothing in them may run. */
export const INERT_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; sandbox",
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
};
