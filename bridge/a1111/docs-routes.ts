import { Hono } from 'hono';
import { html, raw } from 'hono/html';
import { createOpenApiDocument } from './openapi.ts';
import { OPERATIONS } from './operations.ts';

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884}
code{font-family:ui-monospace,monospace}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}a{color:#8bf}}`;

function docsPage() {
  const rows = OPERATIONS.map(
    ({ method, path, summary, response }) => html`<tr>
      <td>${method}</td>
      <td><code>${path}</code></td>
      <td>${response ? '' : '501: '}${summary}</td>
    </tr>`,
  );
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>Easel: API</title>
        <style>
          ${raw(STYLE)}
        </style>
      </head>
      <body>
        <h1>Easel: API</h1>
        <p>
          The API of AUTOMATIC1111’s stable-diffusion-webui. Bodies and replies are described in
          <a href="/openapi.json">/openapi.json</a>.
        </p>
        <table>
          <thead>
            <tr>
              <th>Method</th>
              <th>Path</th>
              <th>What it does</th>
            </tr>
          </thead>
          <tbody>
            ${rows}
          </tbody>
        </table>
      </body>
    </html>`;
}

/** /docs and /openapi.json, also at the addresses that SHARK gave them. */
export function docsRoutes(): Hono {
  const app = new Hono();
  let document: string | undefined;
  for (const path of ['/openapi.json', '/sdapi/openapi.json']) {
    app.get(path, (c) => {
      document ??= JSON.stringify(createOpenApiDocument());
      return c.body(document, 200, { 'content-type': 'application/json' });
    });
  }
  for (const path of ['/docs', '/sdapi/docs']) app.get(path, (c) => c.html(docsPage()));
  return app;
}
