import { Hono } from 'hono';
import { setCookie } from 'hono/cookie';
import { html } from 'hono/html';
import { errorBody } from '../a1111/errors.ts';
import { type AppContext, type AppEnv, peerAddress } from '../app-env.ts';
import { type AccessControl, SESSION_COOKIE } from '../security/access-control.ts';
import type { GuessLimit } from '../security/guess-limit.ts';

const MAX_FORM_BYTES = 4_096;

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/** A path of this server, so that a link cannot lead anywhere else after the login. */
function localPath(text: string | undefined): string {
  return text !== undefined && /^\/(?![/\\])[\w\-./~%]*$/.test(text) ? text : '/';
}

function form(next: string, message: string) {
  return html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Easel: sign in</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh; margin: 0;
    color-scheme: light dark }
  form { display: grid; gap: .75rem; width: min(20rem, 90vw) }
  label { display: grid; gap: .25rem }
  input, button { font: inherit; padding: .5rem }
  p { margin: 0 }
</style>
<form method="post" action="/login">
  <h1>Easel</h1>
  ${message === '' ? '' : html`<p role="alert">${message}</p>`}
  <input type="hidden" name="next" value="${next}">
  <label>User <input name="user" autocomplete="username" required autofocus></label>
  <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
  <button>Sign in</button>
</form>
</html>`;
}

function page(
  c: AppContext,
  next: string,
  { status, message = '' }: { status: 200 | 401 | 429; message?: string },
) {
  c.header('content-security-policy', POLICY);
  c.header('cache-control', 'no-store');
  return c.html(form(next, message), status);
}

export interface LoginOptions {
  readonly access: AccessControl;
  readonly guesses: GuessLimit;
  readonly isTls: boolean;
}

/** `/login`: the form, the session cookie, and the single-use link of the tab that the bridge opens. */
export function loginRoutes({ access, guesses, isTls }: LoginOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  function letIn(c: AppContext, next: string) {
    const { value, maxAgeSeconds } = access.issueSession();
    setCookie(c, SESSION_COOKIE, value, {
      httpOnly: true,
      sameSite: 'Strict',
      secure: isTls,
      path: '/',
      maxAge: maxAgeSeconds,
    });
    return c.redirect(next, 303);
  }

  app.get('/login', async (c) => {
    const next = localPath(c.req.query('next'));
    if (!access.isOn) return c.redirect(next, 303);
    const link = c.req.query('link');
    if (link !== undefined && access.redeemLink(link)) return letIn(c, next);
    return await page(c, next, { status: 200 });
  });

  app.post('/login', async (c) => {
    const verdict = c.get('originVerdict');
    if (verdict !== 'own' && verdict !== 'none') {
      return c.json(errorBody(403, 'Sign in on the page of this bridge.'), 403);
    }
    if (Number(c.req.header('content-length') ?? 0) > MAX_FORM_BYTES) {
      return c.json(errorBody(413, 'The form is too large.'), 413);
    }
    const fields = await c.req.parseBody();
    const text = (name: string) => {
      const value = fields[name];
      return typeof value === 'string' ? value : '';
    };
    const next = localPath(text('next'));
    if (!access.isOn) return c.redirect(next, 303);
    const address = peerAddress(c);
    const wait = guesses.waitSeconds(address);
    if (wait > 0) {
      c.header('retry-after', String(wait));
      const message = `Too many wrong passwords. Try again in ${wait} seconds.`;
      return await page(c, next, { status: 429, message });
    }
    if (access.isPassword(text('user'), text('password'))) return letIn(c, next);
    if (text('user') !== '' || text('password') !== '') guesses.failed(address);
    return await page(c, next, { status: 401, message: 'Incorrect username or password.' });
  });
  return app;
}
