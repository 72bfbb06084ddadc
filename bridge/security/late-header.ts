import type { AppContext } from '../app-env.ts';

/**
 * Sets a header of a reply that is made already. Hono's own `header` makes the reply anew for each: its
 * body becomes a stream, copied and sent in pieces, which costs more than most replies do.
 */
export function setLateHeader(c: AppContext, name: string, value: string): void {
  try {
    c.res.headers.set(name, value);
  } catch {
    // A reply whose headers are sealed, as of another server: here the copy is the only way.
    c.header(name, value);
  }
}
