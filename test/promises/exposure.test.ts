import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../bridge/support.ts';
import { ROOT } from '../e2e/support/bridge.ts';
import { ChildBridge } from './child-bridge.ts';
import { amount, measured, picturesBelow } from './figures.ts';
import { smallDisk } from './small-disk.ts';
import { StubEngine } from './stub-engine.ts';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const MAIN = join(ROOT, 'build/bridge/main.js');
const PASSWORD = 'Correct-Horse-7';
const JSON_TYPE = { 'content-type': 'application/json' };

/** Loaded before the bridge: writes every address it connects to into a file. */
const CONNECT_SPY = `
const net = require('node:net'); const fs = require('node:fs');
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  fs.appendFileSync(process.env.EASEL_TEST_CONNECTS, JSON.stringify(args[0] && args[0][0] || args[0]) + '\\n');
  return connect.apply(this, args);
};
const dns = require('node:dns');
for (const name of ['lookup', 'resolve']) {
  const real = dns[name];
  dns[name] = (...args) => { fs.appendFileSync(process.env.EASEL_TEST_CONNECTS, name + ' ' + args[0] + '\\n'); return real(...args); };
}
`;

const folder = temporaryFolder();
const connects = join(folder.path, 'connects.txt');
const passwordFile = join(folder.path, 'passwords.txt');
let bridge: ChildBridge;
let token = '';

beforeAll(async () => {
  const spy = join(folder.path, 'spy.cjs');
  writeFileSync(spy, CONNECT_SPY);
  writeFileSync(connects, '');
  writeFileSync(passwordFile, `ann:${PASSWORD}\n`, { mode: 0o600 });
  bridge = await ChildBridge.start(
    folder.path,
    ['--api-auth-file', passwordFile, '--log-level', 'debug', '--engine-wait', '0'],
    { NODE_OPTIONS: `--require ${spy}`, EASEL_TEST_CONNECTS: connects },
  );
});
afterAll(async () => {
  await bridge?.stop();
  folder.remove();
});

const auth = (password = PASSWORD) => ({
  authorization: `Basic ${Buffer.from(`ann:${password}`).toString('base64')}`,
});

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(bridge.url + path, { ...init, headers: { ...auth(), ...init.headers } });
}

function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  return ask(path, {
    method: 'POST',
    headers: { ...JSON_TYPE, ...headers },
    body: JSON.stringify(body),
  });
}

/** Sends bytes as they are; resolves with everything that came back. */
function raw(text: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(bridge.port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.setTimeout(5_000, () => socket.destroy());
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}

describe('what listens', () => {
  it('S1 is loopback alone, and --listen without a password ends at once, naming both flags', () => {
    const start = performance.now();
    const { status, stderr } = spawnSync(
      process.execPath,
      [MAIN, '--listen', '--data-dir', folder.path],
      {
        encoding: 'utf8',
      },
    );
    const ms = performance.now() - start;
    expect(status).not.toBe(0);
    expect(ms).toBeLessThan(2_000);
    expect(stderr).toMatch(/--listen.*--api-auth/s);
    const port = bridge.port.toString(16).toUpperCase().padStart(4, '0');
    const listening = ['tcp', 'tcp6']
      .flatMap((name) => readFileSync(`/proc/net/${name}`, 'utf8').split('\n'))
      .map((line) => line.trim().split(/\s+/))
      .filter((parts) => parts[3] === '0A' && parts[1]?.endsWith(`:${port}`))
      .map((parts) => parts[1]?.split(':')[0] ?? '');
    expect(listening.length).toBeGreaterThan(0);
    for (const address of listening) {
      expect(['0100007F', '00000000000000000000000001000000']).toContain(address);
    }
    measured('S1', { refusedAfterMs: Math.round(ms), addresses: listening.length });
  });
});

describe('what is asked for', () => {
  it('S13 opens no connection, whatever addresses a request holds', async () => {
    const before = readFileSync(connects, 'utf8');
    const addresses = [
      'http://127.0.0.1:9/x.png',
      'http://169.254.169.254/latest/meta-data/',
      'https://example.com/x.png',
      'file:///etc/passwd',
      'ftp://example.com/x',
      '//example.com/x.png',
      'gopher://127.0.0.1:6379/_INFO',
    ];
    let refused = 0;
    for (const url of addresses) {
      const bodies: [string, unknown][] = [
        ['/sdapi/v1/img2img', { init_images: [url], prompt: url }],
        ['/sdapi/v1/img2img', { init_images: [url], mask: url }],
        [
          '/sdapi/v1/txt2img',
          { prompt: url, override_settings: { sd_model_checkpoint: url, sd_vae: url } },
        ],
        [
          '/sdapi/v1/txt2img',
          { prompt: 'x', alwayson_scripts: { controlnet: { args: [{ image: url, model: url }] } } },
        ],
        ['/sdapi/v1/png-info', { image: url }],
        ['/sdapi/v1/extra-single-image', { image: url, upscaler_1: url }],
        ['/sdapi/v1/interrogate', { image: url, model: url }],
        ['/controlnet/detect', { controlnet_input_images: [url], controlnet_module: 'canny' }],
        ['/sdapi/v1/options', { sd_model_checkpoint: url }],
        ['/v1/images/generations', { prompt: url, model: url }],
      ];
      for (const [path, body] of bodies) {
        const { status } = await post(path, body);
        if (path.includes('img2img') || path.includes('png-info')) expect(status, path).toBe(422);
        if (status === 422) refused += 1;
      }
    }
    await sleep(200);
    expect(readFileSync(connects, 'utf8')).toBe(before);
    measured('S13', { requests: addresses.length * 10, refused, connections: 0 });
  });

  it('S11 is never outside the folders, in whatever form the path is written', async () => {
    const secret = 'TOP-SECRET-of-the-test';
    writeFileSync(join(folder.path, 'secret.txt'), secret);
    const ups = [
      '..',
      '%2e%2e',
      '.%2e',
      '%2e.',
      '%252e%252e',
      '..%00',
      '%c0%ae%c0%ae',
      '%uff0e%uff0e',
      '..;',
      '. .',
      '...',
      '..%20',
    ];
    const slashes = ['/', '%2f', '%5c', '\\', '%252f', '%c0%af', '//'];
    const roots = [
      '/',
      '/assets/',
      '/models/easel-tiny/',
      '/easel/v1/jobs/',
      '/easel/v1/models/',
      '/sdapi/v1/',
    ];
    const targets = ['secret.txt', 'etc/passwd'];
    const whole = [
      '/proc/self/environ',
      '//proc/self/environ',
      '/C:/Windows/win.ini',
      '/%00',
      '/assets/%00.js',
      '/assets/..%c0%af../x',
      '/file:///etc/passwd',
      '/assets/NUL',
      '/assets/x.js::$DATA',
    ];
    const forms = [
      ...whole,
      ...roots.flatMap((root) =>
        ups.flatMap((up) =>
          slashes.flatMap((slash) =>
            targets.map((target) => root + `${up}${slash}`.repeat(6) + target),
          ),
        ),
      ),
    ];
    let leaked = 0;
    const statuses = new Set<string>();
    const lot = 40;
    for (let at = 0; at < forms.length; at += lot) {
      const answers = await Promise.all(
        forms
          .slice(at, at + lot)
          .map((form) =>
            raw(
              `GET ${form.replaceAll(' ', '%20')} HTTP/1.1\r\nHost: localhost:${bridge.port}\r\nAuthorization: ${auth().authorization}\r\nConnection: close\r\n\r\n`,
            ),
          ),
      );
      for (const answer of answers) {
        statuses.add(answer.split(' ')[1] ?? 'closed');
        if (answer.includes(secret) || answer.includes('root:') || answer.includes('PATH='))
          leaked += 1;
      }
    }
    expect(forms.length).toBeGreaterThan(300);
    expect(leaked).toBe(0);
    expect([...statuses].filter((status) => status.startsWith('5'))).toEqual([]);
    measured('S11', { forms: forms.length, leaked, statuses: [...statuses].sort().join(' ') });
  });
});

describe('what is sent', () => {
  it('S9 is bounded: endless bodies get 413 and cost little memory', async () => {
    const count = 8;
    const before = bridge.usage().rssMiB;
    let peak = before;
    const sampler = setInterval(() => {
      peak = Math.max(peak, bridge.usage().rssMiB);
    }, 50);
    const head = (extra: string) =>
      `POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: localhost:${bridge.port}\r\nAuthorization: ${auth().authorization}\r\nContent-Type: application/json\r\n${extra}\r\n\r\n`;
    const flood = () =>
      new Promise<{ answer: string; sentMiB: number }>((resolve) => {
        const socket = connect(bridge.port, '127.0.0.1');
        let answer = '';
        let sent = 0;
        const block = Buffer.alloc(1 << 20, 97);
        const piece = Buffer.concat([
          Buffer.from(`${block.length.toString(16)}\r\n`),
          block,
          Buffer.from('\r\n'),
        ]);
        const pump = () => {
          while (!socket.destroyed && sent < 70) {
            sent += 1;
            if (!socket.write(piece)) return;
          }
        };
        socket.on('drain', pump);
        socket.on('data', (chunk) => {
          answer += chunk;
          socket.end();
        });
        socket.on('error', () => {});
        socket.on('close', () => resolve({ answer, sentMiB: sent }));
        socket.write(head('Transfer-Encoding: chunked'));
        pump();
      });
    const floods = await Promise.all(Array.from({ length: count }, flood));
    clearInterval(sampler);
    const announced = await raw(head(`Content-Length: ${65 << 20}`));
    expect(announced).toMatch(/^HTTP\/1.1 413/);
    expect(floods.filter(({ answer }) => answer.startsWith('HTTP/1.1 413'))).toHaveLength(count);
    expect(peak - before).toBeLessThan(150);
    const long = await raw(
      `GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'a'.repeat(17 << 10)}\r\n\r\n`,
    );
    expect(long).toMatch(/^HTTP\/1.1 431/);
    measured('S9', { uploads: count, grownMiB: Math.round(peak - before) });
  });

  it('S7 tells nothing of a password by the time of its refusal', async () => {
    const { AccessControl } = await import('../../bridge/security/access-control.ts');
    const secrets = { sessionKey: 's'.repeat(32), capability: 'c'.repeat(32) };
    const access = new AccessControl({
      credentials: [{ user: 'ann', password: PASSWORD }],
      secrets,
    });
    const header = (password: string) => auth(password).authorization;
    const first = header(`X${PASSWORD.slice(1)}`);
    const last = header(`${PASSWORD.slice(0, -1)}X`);
    const trials = amount('TIMING_TRIALS', 4_000, 20_000);
    const samples: [number[], number[]] = [[], []];
    for (let trial = 0; trial < trials * 2; trial += 1) {
      const kind = (trial ^ (trial >> 1)) & 1;
      const start = process.hrtime.bigint();
      access.judgeHeader(kind === 0 ? first : last);
      samples[kind]?.push(Number(process.hrtime.bigint() - start));
    }
    // The slowest tenth is the scheduler's and the collector's, not ours.
    const trimmed = samples.map((all) =>
      all.sort((a, b) => a - b).slice(0, Math.floor(all.length * 0.9)),
    );
    const mean = (all: number[]) => all.reduce((sum, value) => sum + value, 0) / all.length;
    const variance = (all: number[]) =>
      all.reduce((sum, value) => sum + (value - mean(all)) ** 2, 0) / all.length;
    const [a = [], b = []] = trimmed;
    const sigma = Math.sqrt(variance(a) / a.length + variance(b) / b.length);
    const sigmas = Math.abs(mean(a) - mean(b)) / sigma;
    expect(Math.abs(mean(a) - mean(b))).toBeLessThan(Math.max(3 * sigma, 50));
    measured('S7', {
      trials,
      differenceNs: Math.round(Math.abs(mean(a) - mean(b))),
      sigmas: Math.round(sigmas * 10) / 10,
    });
  });
});

describe('a changed password', () => {
  it('S8 closes attached engines and event streams within a second, in the middle of a job', async () => {
    const engine = await StubEngine.attach(bridge.url, { stepMs: 50, headers: auth() });
    token = ((await (await ask('/easel/v1/engine-token')).json()) as { token: string }).token;
    const events = await ask('/easel/v1/events');
    const reader = events.body?.getReader();
    let streamEndedAt = 0;
    const ended = (async () => {
      while (!(await reader?.read())?.done);
      streamEndedAt = performance.now();
    })();
    const reply = post('/sdapi/v1/txt2img', { prompt: 'x', steps: 400 });
    while (engine.begun.length === 0) await sleep(5);
    const start = performance.now();
    writeFileSync(passwordFile, 'ann:Another-Horse-8\n');
    while (engine.isAttached) await sleep(2);
    const closedMs = performance.now() - start;
    await ended;
    expect(closedMs).toBeLessThan(1_000);
    expect(streamEndedAt - start).toBeLessThan(1_000);
    expect((await ask('/sdapi/v1/options')).status).toBe(401);
    const now = { headers: auth('Another-Horse-8') };
    expect((await fetch(`${bridge.url}/sdapi/v1/options`, now)).status).toBe(200);
    const renewed = (await (await fetch(`${bridge.url}/easel/v1/engine-token`, now)).json()) as {
      token: string;
    };
    expect(renewed.token).not.toBe(token);
    await engine.close();
    // An empty file is a slip: nothing changes, nothing opens.
    writeFileSync(passwordFile, '');
    await sleep(600);
    expect((await fetch(`${bridge.url}/sdapi/v1/options`, now)).status).toBe(200);
    expect((await fetch(`${bridge.url}/sdapi/v1/options`)).status).toBe(401);
    // SIGHUP reads it at once.
    writeFileSync(passwordFile, `ann:${PASSWORD}\n`);
    process.kill(bridge.pid, 'SIGHUP');
    await sleep(100);
    expect((await ask('/sdapi/v1/options')).status).toBe(200);
    const heir = await StubEngine.attach(bridge.url, { headers: auth() });
    await reply.catch(() => {});
    await heir.close();
    measured('S8', {
      socketClosedMs: Math.round(closedMs),
      streamEndedMs: Math.round(streamEndedAt - start),
    });
  });

  it('S17 is in no log, no process list and no error, and its files are the owner’s alone', async () => {
    await fetch(`${bridge.url}/sdapi/v1/options?token=${token}`, {
      headers: auth('Wrong-Horse-9'),
    });
    const access = join(folder.path, 'access.json');
    const { capability, sessionKey } = JSON.parse(readFileSync(access, 'utf8')) as Record<
      string,
      string
    >;
    await fetch(`${bridge.url}/k/${capability}/sdapi/v1/options`);
    const bad = await (await post('/sdapi/v1/txt2img', { steps: 'x' })).text();
    const command = readFileSync(`/proc/${bridge.pid}/cmdline`, 'utf8');
    const everything = bridge.running.output() + bad + command;
    const secrets = [
      PASSWORD,
      'Another-Horse-8',
      'Wrong-Horse-9',
      token,
      capability,
      sessionKey,
      auth().authorization,
    ];
    expect(token.length).toBeGreaterThan(20);
    const found = secrets.filter((secret) => secret && everything.includes(secret));
    expect(found).toEqual([]);
    expect(statSync(access).mode & 0o777).toBe(0o600);
    measured('S17', {
      secrets: secrets.length,
      bytesSearched: everything.length,
      found: found.length,
    });
  });
});

describe('a full disk', () => {
  it('R18 costs the file and not the picture, and is over when there is room again', async () => {
    const own = temporaryFolder();
    const disk = smallDisk(join(own.path, 'disk'));
    // Pictures, journal and results all lie on it.
    const full = await ChildBridge.start(disk.path, ['--output-dir', disk.outputs]);
    const engine = await StubEngine.attach(full.url);
    const draw = async () => {
      const reply = await fetch(`${full.url}/sdapi/v1/txt2img`, {
        method: 'POST',
        headers: JSON_TYPE,
        body: JSON.stringify({ prompt: 'x', steps: 1 }),
      });
      expect(reply.status).toBe(200);
      return (await reply.json()) as { images: string[]; info: string };
    };
    try {
      disk.fill();
      for (let count = 0; count < 3; count += 1) {
        const during = await draw();
        expect(during.images).toHaveLength(1);
        expect(JSON.parse(during.info)).toMatchObject({ saved: false });
      }
      expect((await fetch(`${full.url}/sdapi/v1/options`)).status).toBe(200);
      expect((await fetch(`${full.url}/easel/v1/outputs`)).status).toBe(200);
      disk.free();
      const after = await draw();
      expect(JSON.parse(after.info).saved).not.toBe(false);
      expect(picturesBelow(disk.outputs)).toHaveLength(1);
    } finally {
      await engine.close();
      await full.stop();
      disk.remove();
      own.remove();
    }
    measured('R18', { disk: disk.how, withoutRoom: 'picture returned, saved: false, 3 of 3' });
  });
});
