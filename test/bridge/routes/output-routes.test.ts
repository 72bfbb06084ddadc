import { existsSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OutputLibrary } from '../../../bridge/outputs/output-library.ts';
import { outputPage } from '../../../protocol/outputs.ts';
import { makePngChunk, PNG_SIGNATURE } from '../../../protocol/png-chunks.ts';
import { writePngText } from '../../../protocol/png-text.ts';
import { startTestBridge, type TestBridge, temporaryFolder } from '../support.ts';

const INFOTEXT = 'a red apple\nSteps: 4, Sampler: Euler, CFG scale: 7.0, Seed: 1, Size: 64x32';

/** A PNG by its chunks, 64 × 32; its pixels are none. */
function png(infotext: string): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(64, 0);
  header.writeUInt32BE(32, 4);
  const plain = Buffer.concat([
    PNG_SIGNATURE,
    makePngChunk('IHDR', header),
    makePngChunk('IDAT', Buffer.alloc(600_000)),
    makePngChunk('IEND', new Uint8Array()),
  ]);
  return writePngText(plain, { parameters: infotext });
}

let bridge: TestBridge;
let root: string;
const folder = temporaryFolder();

function put(path: string, bytes: Uint8Array | string, seconds: number): void {
  const file = join(root, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, bytes);
  utimesSync(file, seconds, seconds);
}

beforeAll(async () => {
  root = join(folder.path, 'out');
  put('20260101/a.png', png(INFOTEXT), 1_000);
  put('20260102/b & ü#1.png', png('b'), 2_000);
  put('20260102/broken.png', 'no picture', 3_000);
  put('20260102/cut.webp', 'RIFF', 4_000);
  put('20260102/b & ü#1.txt', 'b', 2_000);
  put('20260102/b & ü#1.json', '{ broken', 2_000);
  put('.hidden/x.png', png('x'), 9_000);
  put('20260102/notes.txt', 'secret', 9_000);
  writeFileSync(join(folder.path, 'outside.png'), png('outside'));
  symlinkSync(join(folder.path, 'outside.png'), join(root, 'link.png'));
  bridge = await startTestBridge(['--output-dir', root]);
});

afterAll(async () => {
  await bridge.dispose();
  folder.remove();
});

const fetchFile = (path: string) =>
  fetch(`${bridge.url}/easel/v1/outputs/files/${encodeURIComponent(path)}`);
const token = async () =>
  (await (await fetch(`${bridge.url}/easel/v1/engine-token`)).json()).token as string;

describe('the saved pictures', () => {
  test('are listed newest first; a broken file, a broken sidecar and a link hide none of the others', async () => {
    const reply = await fetch(`${bridge.url}/easel/v1/outputs`);
    const { total, pictures, next } = outputPage.parse(await reply.json());
    expect(pictures.map(({ path, isDamaged }) => [path, isDamaged])).toEqual([
      ['20260102/cut.webp', true],
      ['20260102/broken.png', true],
      ['20260102/b & ü#1.png', false],
      ['20260101/a.png', false],
    ]);
    expect(pictures[3]).toMatchObject({
      infotext: INFOTEXT,
      width: 64,
      height: 32,
      savedAt: 1_000_000,
    });
    expect([total, next]).toEqual([4, null]);
  });

  test('come in pages, also where the last picture of a page was deleted meanwhile', async () => {
    const library = new OutputLibrary(root);
    const first = await library.page(null, 2);
    expect(first.pictures.map(({ path }) => path)).toEqual([
      '20260102/cut.webp',
      '20260102/broken.png',
    ]);
    const second = await library.page(first.next, 2);
    expect(second.pictures.map(({ path }) => path)).toEqual([
      '20260102/b & ü#1.png',
      '20260101/a.png',
    ]);
    expect(second.next).toBeNull();
    const gone = await library.page('2500000:20260102/gone.png', 2);
    expect(gone.pictures[0]?.path).toBe('20260102/b & ü#1.png');
    expect((await library.page('nonsense', 2)).pictures).toEqual([]);
  });

  test('are served as inert bytes', async () => {
    const reply = await fetchFile('20260102/b & ü#1.png');
    expect(reply.status).toBe(200);
    expect(reply.headers.get('content-type')).toBe('image/png');
    expect(reply.headers.get('content-security-policy')).toContain('sandbox');
    expect((await reply.arrayBuffer()).byteLength).toBe(png('b').length);
  });

  test.each([
    '../outside.png',
    '20260102/../../outside.png',
    '/etc/passwd',
    'link.png',
    '.hidden/x.png',
    '20260102/notes.txt',
    '20260102\\a.png',
    '20260102/a.png\0.png',
    '20260102',
    '',
    '%',
  ])('%j leads nowhere', async (path) => {
    expect((await fetchFile(path)).status).toBe(404);
  });

  test('are deleted with what lies beside them, by the page alone', async () => {
    const body = { paths: ['20260102/b & ü#1.png', '../outside.png', 'nobody.png'] };
    expect((await bridge.post('/easel/v1/outputs/delete', body)).status).toBe(401);
    const key = { 'x-easel-token': await token() };
    const far = { ...key, 'sec-fetch-site': 'cross-site' };
    expect((await bridge.post('/easel/v1/outputs/delete', body, far)).status).toBe(403);
    const list = { headers: { 'sec-fetch-site': 'cross-site' } };
    expect((await fetch(`${bridge.url}/easel/v1/outputs`, list)).status).toBe(403);
    expect((await bridge.post('/easel/v1/outputs/delete', { paths: [] }, key)).status).toBe(422);
    expect(existsSync(join(root, '20260102/b & ü#1.png'))).toBe(true);

    const reply = await bridge.post('/easel/v1/outputs/delete', body, key);
    expect(await reply.json()).toMatchObject({
      deleted: ['20260102/b & ü#1.png'],
      failed: [{ path: '../outside.png' }, { path: 'nobody.png' }],
    });
    for (const extension of ['png', 'txt', 'json']) {
      expect(existsSync(join(root, `20260102/b & ü#1.${extension}`))).toBe(false);
    }
    expect(existsSync(join(folder.path, 'outside.png'))).toBe(true);
    expect(existsSync(join(root, '20260102/notes.txt'))).toBe(true);
  });
});
