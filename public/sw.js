// For static hosts: adds the headers of cross-origin isolation where the host cannot send them, and
// keeps what the page needs for the next time without a network. A page with a bridge has no use for it.

const CACHE = 'easel-page-1';
/** Compiled checkpoints are kept elsewhere, so their sources are not kept twice. */
const NOT_KEPT = /\.safetensors$|(?:^|\/)easel\/v1\/|(?:^|\/)sdapi\//;
/** File names with a hash of their content: what is kept is never stale. */
const IMMUTABLE = /\/assets\/[^/]+$/;

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) =>
  event.waitUntil(Promise.all([self.clients.claim(), dropOldCaches()])),
);

self.addEventListener('fetch', (event) => {
  const { request } = event;
  // The browser's own restriction: such a request cannot be made again from here.
  if (request.cache === 'only-if-cached' && request.mode !== 'same-origin') return;
  const url = new URL(request.url);
  if (url.origin !== self.location.origin) return;
  event.respondWith(answer(request, url).then(isolated));
});

async function answer(request, url) {
  const isKept =
    request.method === 'GET' && !request.headers.has('range') && !NOT_KEPT.test(url.pathname);
  if (!isKept) return fetch(request);
  const cache = await self.caches.open(CACHE);
  // The query says how the page starts, not what it is.
  const key = url.origin + url.pathname;
  if (IMMUTABLE.test(url.pathname)) {
    const kept = await cache.match(key);
    if (kept) return kept;
  }
  let reply;
  try {
    reply = await fetch(request);
  } catch (error) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw error;
  }
  if (reply.ok && reply.type === 'basic') await keep(cache, key, reply.clone(), request.mode);
  return reply;
}

/** Keeps a reply. A page that changed leaves the assets of its old version behind: they go. */
async function keep(cache, key, reply, mode) {
  try {
    if (mode === 'navigate') {
      const [before, now] = await Promise.all([
        cache.match(key).then((kept) => kept?.text()),
        reply.clone().text(),
      ]);
      if (before !== undefined && before !== now) await dropAssets(cache);
    }
    await cache.put(key, reply);
  } catch {
    // The storage is full: the page works from the network as before.
  }
}

async function dropAssets(cache) {
  for (const request of await cache.keys()) {
    if (IMMUTABLE.test(new URL(request.url).pathname)) await cache.delete(request);
  }
}

async function dropOldCaches() {
  for (const name of await self.caches.keys()) {
    if (name.startsWith('easel-page-') && name !== CACHE) await self.caches.delete(name);
  }
}

function isolated(reply) {
  if (reply.status === 0 || reply.type === 'opaqueredirect') return reply;
  const headers = new Headers(reply.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  const hasNoBody = [101, 204, 205, 304].includes(reply.status);
  return new Response(hasNoBody ? null : reply.body, {
    status: reply.status,
    statusText: reply.statusText,
    headers,
  });
}
