import type { Hono } from 'hono';

/** Answers a known path asked with another method: 405 as FastAPI, but OPTIONS gets its list with 200. */
export function answerOtherMethods(app: Hono): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === 'ALL') continue;
    methods.set(path, (methods.get(path) ?? new Set()).add(method));
  }
  for (const [path, known] of methods) {
    const allow = [...known, ...(known.has('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ');
    app.options(path, (c) => c.body(null, 200, { allow }));
    app.all(path, (c) => c.json({ detail: 'Method Not Allowed' }, 405, { allow }));
  }
}
