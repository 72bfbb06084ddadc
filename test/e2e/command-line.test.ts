import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { freePort, ROOT, startBridge } from './support/bridge.ts';
import { decodePng } from './support/png.ts';

function npmStart(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(ROOT, 'tools/start.mjs'), ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    child.once('exit', (code) => resolve({ code, output }));
  });
}

describe('the command line', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'easel-cli-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('makes one picture in a headless browser of its own and exits 0', async () => {
    const out = join(folder, 'apple.png');
    const { code, output } = await npmStart([
      '--prompt',
      'a red apple, 3d',
      '--steps',
      '4',
      '--seed',
      '1',
      '--out',
      out,
      '--data-dir',
      join(folder, 'data'),
      '--device',
      'wasm',
    ]);
    expect(code, output).toBe(0);
    const picture = decodePng(readFileSync(out));
    expect([picture.width, picture.height]).toEqual([512, 512]);
  });

  it('names the nearest flag for an unknown one', async () => {
    const { code, output } = await npmStart(['--pormpt', 'x']);
    expect(code).not.toBe(0);
    expect(output).toContain('--prompt');
  });

  it('says that the port is in use and what to do', async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address ? address.port : 0);
      });
    });
    try {
      const { code, output } = await npmStart([
        '--port',
        String(port),
        '--browser',
        'none',
        '--data-dir',
        join(folder, 'used'),
      ]);
      expect(code).not.toBe(0);
      expect(output).toMatch(new RegExp(`${port}.*in use`, 's'));
      expect(output).toContain('--port');
    } finally {
      server.close();
    }
  });

  it('ends with `npm start`, though npm puts a shell in between', async () => {
    const port = await freePort();
    const args = ['start', '--silent', '--', '--browser', 'none', '--port', String(port)];
    const npm = spawn('npm', [...args, '--data-dir', join(folder, 'npm')], {
      cwd: ROOT,
      stdio: 'ignore',
    });
    const answers = () =>
      fetch(`http://localhost:${port}/health`).then(
        () => true,
        () => false,
      );
    await vi.waitFor(async () => expect(await answers()).toBe(true), 60_000);
    npm.kill('SIGTERM');
    await vi.waitFor(async () => expect(await answers()).toBe(false), 12_000);
  });

  it('ends with exit code 0 on SIGTERM, its headless browser too', async () => {
    const bridge = await startBridge(['--browser', 'headless', '--device', 'wasm']);
    await bridge.ready();
    expect(await bridge.stop()).toBe(0);
  });
});
