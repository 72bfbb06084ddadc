// Adds the headers of cross-origin isolation on hosts that cannot send them, and nothing else: every
// answer still comes from the network. Registered by the page only where it is needed.

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const { request } = event;
  // The browser's own restriction: such a request cannot be made again from here.
  if (request.cache === 'only-if-cached' && request.mode !== 'same-origin') return;
  if (new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(isolated(request));
});

async function isolated(request) {
  const reply = await fetch(request);
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
