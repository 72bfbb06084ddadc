import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBridge, type TestBridge, temporaryFolder } from '../support.ts';

/** A certificate of our own for localhost, made for these tests alone. */
const CERT = fileURLToPath(new URL('cert.pem', import.meta.url));
const KEY = fileURLToPath(new URL('key.pem', import.meta.url));

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await startTestBridge(['--tls-certfile', CERT, '--tls-keyfile', KEY]);
});
afterAll(() => bridge?.dispose());

function get(path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request(
      { host: 'localhost', port: bridge.port, path, ca: readFileSync(CERT), family: 4 },
      (response) => {
        let body = '';
        response.on('data', (chunk) => {
          body += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      },
    );
    call.once('error', reject);
    call.end();
  });
}

function protocolOf(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(
      {
        host: '127.0.0.1',
        servername: 'localhost',
        port: bridge.port,
        ca: readFileSync(CERT),
        ...options,
      },
      () => {
        resolve(socket.getProtocol() ?? 'none');
        socket.destroy();
      },
    );
    socket.once('error', () => resolve('refused'));
  });
}

describe('TLS', () => {
  it('S16 serves everything over https under the name of its certificate', async () => {
    expect(bridge.url).toMatch(/^https:/);
    const { status, body } = await get('/health');
    expect([status, JSON.parse(body).status]).toEqual([503, 'no-engine']);
    expect((await get('/')).status).toBe(200);
  });

  it('S16 speaks TLS 1.2 and newer only', async () => {
    expect(await protocolOf({})).toBe('TLSv1.3');
    expect(await protocolOf({ maxVersion: 'TLSv1.2' })).toBe('TLSv1.2');
    const old = {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
    } as const;
    expect(await protocolOf(old)).toBe('refused');
  });

  it('S16 tells a plain-http client what is wrong', async () => {
    const response = await fetch(`http://127.0.0.1:${bridge.port}/health`);
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('https://');
  });

  it('says which file is wrong', async () => {
    const folder = temporaryFolder();
    const bad = join(folder.path, 'bad.pem');
    writeFileSync(bad, 'no certificate');
    await expect(startTestBridge(['--tls-certfile', bad, '--tls-keyfile', KEY])).rejects.toThrow(
      /PEM/,
    );
    folder.remove();
  });
});
