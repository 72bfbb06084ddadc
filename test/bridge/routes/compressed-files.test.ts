import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { staticRoutes } from '../../../bridge/routes/static-routes.ts';

const SCRIPT = 'const answer = 42;\n'.repeat(500);

describe('the page’s texts', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'easel-dist-'));
    writeFileSync(join(folder, 'main.js'), SCRIPT);
    writeFileSync(join(folder, 'tiny.js'), 'void 0;');
    writeFileSync(join(folder, 'model.wasm'), SCRIPT);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const ask = async (path: string, headers: Record<string, string> = {}) =>
    await staticRoutes(folder).request(path, { headers });
  const BROTLI = { 'accept-encoding': 'gzip, deflate, br, zstd' };

  it('are compressed for whoever takes that, and known again', async () => {
    const app = staticRoutes(folder);
    for (let time = 0; time < 2; time++) {
      const reply = await app.request('/main.js', { headers: BROTLI });
      const bytes = Buffer.from(await reply.arrayBuffer());
      expect(reply.headers.get('content-encoding')).toBe('br');
      expect(reply.headers.get('vary')).toContain('accept-encoding');
      expect(Number(reply.headers.get('content-length'))).toBe(bytes.length);
      expect(bytes.length).toBeLessThan(SCRIPT.length / 10);
      expect(brotliDecompressSync(bytes).toString()).toBe(SCRIPT);
      const etag = reply.headers.get('etag') ?? '';
      const again = await app.request('/main.js', {
        headers: { ...BROTLI, 'if-none-match': etag },
      });
      expect(again.status).toBe(304);
    }
  });

  it('are compressed with gzip where Brotli is not taken, as browsers do without TLS', async () => {
    for (const accepted of ['gzip, deflate', 'gzip, br;q=0']) {
      const reply = await ask('/main.js', { 'accept-encoding': accepted });
      expect(reply.headers.get('content-encoding')).toBe('gzip');
      expect(gunzipSync(Buffer.from(await reply.arrayBuffer())).toString()).toBe(SCRIPT);
    }
  });

  it('are sent anew once they changed', async () => {
    const app = staticRoutes(folder);
    writeFileSync(join(folder, 'changed.js'), SCRIPT);
    await (await app.request('/changed.js', { headers: BROTLI })).arrayBuffer();
    writeFileSync(join(folder, 'changed.js'), `${SCRIPT}// more\n`);
    const reply = await app.request('/changed.js', { headers: BROTLI });
    const text = brotliDecompressSync(Buffer.from(await reply.arrayBuffer())).toString();
    expect(text).toBe(`${SCRIPT}// more\n`);
  });

  it.each([
    ['/main.js', {}],
    ['/main.js', { 'accept-encoding': 'identity, gzip;q=0, br;q=0.0' }],
    ['/main.js', { ...BROTLI, range: 'bytes=0-9' }],
    ['/tiny.js', BROTLI],
    ['/model.wasm', BROTLI],
  ])('%s goes out as it is for %o', async (path, headers) => {
    const reply = await ask(path, headers);
    expect(reply.ok).toBe(true);
    expect(reply.headers.get('content-encoding')).toBeNull();
    expect(reply.headers.get('accept-ranges')).toBe('bytes');
    expect(await reply.text()).toMatch(/^(?:const answ|void 0;)/);
  });
});
