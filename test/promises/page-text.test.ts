import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import type { AppEnv } from '../../bridge/app-env.ts';
import { responseHeaders } from '../../bridge/security/response-headers.ts';
import { ROOT } from '../e2e/support/bridge.ts';

const HTML_WRITERS =
  /dangerouslySetInnerHTML|\.(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write|createContextualFragment|setHTMLUnsafe|srcdoc|\beval\(/;

describe('what prompts and clients’ names are in the page', () => {
  it('S12 is text: no line of the page writes HTML', () => {
    const files = readdirSync(join(ROOT, 'web'), { recursive: true, encoding: 'utf8' }).filter(
      (path) => /\.tsx?$/.test(path),
    );
    expect(files.length).toBeGreaterThan(100);
    const found = files.filter((path) =>
      HTML_WRITERS.test(readFileSync(join(ROOT, 'web', path), 'utf8')),
    );
    expect(found).toEqual([]);
  });

  it('S12 could not run if it were written as HTML: scripts come from files of the page’s own alone', async () => {
    const app = new Hono<AppEnv>();
    app.use(responseHeaders());
    app.get('/', (c) => c.html('<p>x</p>'));
    const policy = (await app.request('/')).headers.get('content-security-policy') ?? '';
    const scripts = /script-src ([^;]*)/.exec(policy)?.[1]?.split(' ') ?? [];
    expect(scripts.sort()).toEqual(["'self'", "'wasm-unsafe-eval'", 'blob:'].sort());
  });
});
