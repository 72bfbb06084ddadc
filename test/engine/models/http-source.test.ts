import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createHttpSource } from '../../../web/engine/models/http-source.ts';

const FILE = Uint8Array.from({ length: 10_000 }, (_, i) => (i * 7) & 0xff);
type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** A host on this machine; returns the source and the ranges that were asked for. */
async function host(handler: Handler, options: { sizeBytes?: number; retries?: number } = {}) {
  const ranges: string[] = [];
  server = createServer((request, response) => {
    ranges.push(request.headers.range ?? 'none');
    handler(request, response, ranges.length);
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const source = createHttpSource({
    url: `http://127.0.0.1:${port}/model.safetensors`,
    path: 'unet/model.safetensors',
    sizeBytes: options.sizeBytes ?? FILE.length,
    retryDelaysMs: new Array(options.retries ?? 3).fill(1),
  });
  return { source, ranges };
}

function asked(request: IncomingMessage): [number, number] {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range!)!;
  return [Number(from), Number(to) + 1];
}

/** Answers ranges as it should; `sent` cuts the answer short. */
function ranged(request: IncomingMessage, response: ServerResponse, sent = Infinity): void {
  const [from, to] = asked(request);
  response.writeHead(206, {
    'content-range': `bytes ${from}-${to - 1}/${FILE.length}`,
    'content-length': to - from,
  });
  const body = FILE.subarray(from, to);
  if (sent >= body.length) response.end(body);
  else response.write(body.subarray(0, sent), () => response.destroy());
}

describe('a file on an HTTP host', () => {
  test('is read by ranges, small reads from one block', async () => {
    const { source, ranges } = await host((request, response) => ranged(request, response));
    expect(await source.read(8, 100)).toEqual(FILE.subarray(8, 108));
    expect(await source.read(500, 9_000)).toEqual(FILE.subarray(500, 9_500));
    expect(await source.read(9_999, 1)).toEqual(FILE.subarray(9_999));
    expect(ranges).toEqual(['bytes=8-9999']);
    expect(await source.read(0, 8)).toEqual(FILE.subarray(0, 8));
    expect(await source.read(5, 0)).toEqual(new Uint8Array(0));
  });

  test('goes on where the connection was cut, however often', async () => {
    const { source, ranges } = await host((request, response) => ranged(request, response, 1_500), {
      retries: 1,
    });
    expect(await source.read(0, 9_000)).toEqual(FILE.subarray(0, 9_000));
    expect(ranges.length).toBeGreaterThan(5);
    expect(ranges[1]).toBe('bytes=1500-9999');
  });

  test('gives up after some tries without a byte', async () => {
    const { source, ranges } = await host((_, response) => response.destroy(), { retries: 2 });
    await expect(source.read(0, 10)).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.stringContaining('unet/model.safetensors could not be read'),
    });
    expect(ranges).toHaveLength(3);
  });

  test('tries again when the host is busy', async () => {
    const { source } = await host((request, response, count) => {
      if (count < 3) response.writeHead(503).end('busy');
      else ranged(request, response);
    });
    expect(await source.read(0, 10)).toEqual(FILE.subarray(0, 10));
  });

  test('reads the file once from a host that ignores ranges', async () => {
    const { source, ranges } = await host((_, response) => response.writeHead(200).end(FILE));
    expect(await source.read(100, 50)).toEqual(FILE.subarray(100, 150));
    expect(await source.read(9_000, 1_000)).toEqual(FILE.subarray(9_000));
    expect(ranges).toHaveLength(1);
  });

  test('is not a web page', async () => {
    const { source } = await host((_, response) =>
      response
        .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
        .end('<!doctype html>'),
    );
    await expect(source.read(0, 10)).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.stringContaining('web page instead of unet/model.safetensors'),
    });
  });

  test.each([
    ['404', (_: IncomingMessage, response: ServerResponse) => response.writeHead(404).end()],
    ['401', (_: IncomingMessage, response: ServerResponse) => response.writeHead(401).end()],
  ])('is said to be missing at once when the host answers %s', async (status, handler) => {
    const { source, ranges } = await host((request, response) => void handler(request, response));
    await expect(source.read(0, 10)).rejects.toThrow(status);
    expect(ranges).toHaveLength(1);
  });

  test('D2 of another size than listed is an error with both sizes', async () => {
    const changed = await host((request, response) => {
      const [from, to] = asked(request);
      response.writeHead(206, { 'content-range': `bytes ${from}-${to - 1}/12345` });
      response.end(FILE.subarray(from, to));
    });
    await expect(changed.source.read(0, 10)).rejects.toThrow(/12345 bytes.*10000 were expected/);
    server?.close();
    const whole = await host((_, response) => response.writeHead(200).end(FILE.subarray(1)));
    await expect(whole.source.read(0, 10)).rejects.toThrow(/9999 bytes.*10000 were expected/);
  });

  test('is not read beyond its end', async () => {
    const { source, ranges } = await host((request, response) => ranged(request, response));
    await expect(source.read(9_990, 11)).rejects.toMatchObject({ code: 'invalid-model' });
    expect(ranges).toEqual([]);
  });

  test('can be aborted', async () => {
    const { source } = await host(() => {});
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 20);
    await expect(source.read(0, 10, { signal: abort.signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});
