import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRange } from '../../../bridge/routes/serve-file.ts';
import { startTestBridge, type TestBridge, temporaryFolder } from '../support.ts';

describe('a Range header', () => {
  it.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=2-5', { start: 2, end: 5 }],
    ['bytes=2-', { start: 2, end: 9 }],
    ['bytes=-3', { start: 7, end: 9 }],
    ['bytes=-30', { start: 0, end: 9 }],
    ['bytes=5-500', { start: 5, end: 9 }],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=10-11', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=5-2', null],
    ['bytes=-', null],
    ['bytes=0-1,4-5', null],
    ['bytes=a-b', null],
    ['items=0-1', null],
    ['bytes=99999999999999999999-', null],
    ['', null],
    [undefined, null],
  ])('%j of ten bytes', (header, expected) => {
    expect(parseRange(header, 10)).toEqual(expected);
  });
});

describe('model files over HTTP', () => {
  const folder = temporaryFolder();
  let bridge: TestBridge;
  const at = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${bridge.url}/${path}`, { headers, method });

  beforeAll(async () => {
    mkdirSync(join(folder.path, 'models/Stable-diffusion/my model #1'), { recursive: true });
    writeFileSync(join(folder.path, 'models/Stable-diffusion/ten.safetensors'), '0123456789');
    writeFileSync(join(folder.path, 'models/Stable-diffusion/my model #1/model_index.json'), '{}');
    writeFileSync(join(folder.path, 'models/Stable-diffusion/my model #1/weird ä%20.json'), '[]');
    writeFileSync(join(folder.path, 'models/Stable-diffusion/empty.safetensors'), '');
    bridge = await startTestBridge([], { dataFolder: folder.path });
  });
  afterAll(async () => {
    await bridge?.dispose();
    folder.remove();
  });

  const TEN = 'easel/v1/models/checkpoint/ten/ten.safetensors';

  it('are listed with addresses that lead to them', async () => {
    const { models } = await (await at('easel/v1/models')).json();
    expect(models).toHaveLength(3);
    for (const { url, files } of models) {
      for (const { path, sizeBytes } of files) {
        const encoded = path.split('/').map(encodeURIComponent).join('/');
        const response = await at(url + encoded);
        expect(response.status, url + encoded).toBe(200);
        expect((await response.arrayBuffer()).byteLength).toBe(sizeBytes);
      }
    }
  });

  it('come whole, by one range, or not at all when unchanged', async () => {
    const whole = await at(TEN);
    const etag = whole.headers.get('etag')!;
    expect([whole.status, await whole.text()]).toEqual([200, '0123456789']);
    expect(whole.headers.get('accept-ranges')).toBe('bytes');
    expect(whole.headers.get('content-type')).toBe('application/octet-stream');
    const part = await at(TEN, { range: 'bytes=2-4', 'if-range': etag });
    expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([
      206,
      'bytes 2-4/10',
      '234',
    ]);
    expect(part.headers.get('content-length')).toBe('3');
    const changed = await at(TEN, { range: 'bytes=2-4', 'if-range': '"other"' });
    expect([changed.status, await changed.text()]).toEqual([200, '0123456789']);
    const beyond = await at(TEN, { range: 'bytes=10-' });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */10']);
    const same = await at(TEN, { 'if-none-match': etag });
    expect([same.status, await same.text()]).toEqual([304, '']);
    const head = await at(TEN, {}, 'HEAD');
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([
      200,
      '10',
      '',
    ]);
    writeFileSync(join(folder.path, 'models/Stable-diffusion/ten.safetensors'), '01234567890');
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect((await at(TEN)).headers.get('etag')).not.toBe(etag);
  });

  it('S11 lead nowhere else', async () => {
    for (const path of [
      'easel/v1/models/checkpoint/ten/..%2f..%2f..%2faccess.json',
      'easel/v1/models/checkpoint/ten/%2e%2e%2faccess.json',
      'easel/v1/models/checkpoint/..%2f..%2f/access.json',
      'easel/v1/models/checkpoint/ten/',
      'easel/v1/models/checkpoint/ten',
      'easel/v1/models/checkpoint/ten/ten.safetensors%00',
      'easel/v1/models/checkpoint/ten/%zz',
      'easel/v1/models/lora/ten/ten.safetensors',
      'easel/v1/models/checkpoint/ten//ten.safetensors',
      'easel/v1/models/checkpoint/my%20model%20%231/..%5cten.safetensors',
    ]) {
      expect((await at(path)).status, path).toBe(404);
    }
  });

  it('S3 are not for other sites', async () => {
    expect((await at(TEN, { origin: 'https://evil.test' })).status).toBe(403);
    expect((await at(TEN)).headers.get('cross-origin-resource-policy')).toBe('same-origin');
  });
});
