import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryFolder } from '../bridge/support.ts';
import {
  failedFrame,
  finishedFrame,
  heartbeatFrame,
  helloFrame,
  imageFrame,
  progressFrame,
} from '../fakes/tab-frames.ts';
import { tinyPng } from '../fakes/tiny-png.ts';
import { ChildBridge } from './child-bridge.ts';
import { amount, measured, percentile, randomOf, SEED } from './figures.ts';
import { mutate } from './mutate.ts';
import { StubEngine } from './stub-engine.ts';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const folder = temporaryFolder();
let bridge: ChildBridge;
let engine: StubEngine;

beforeAll(async () => {
  bridge = await ChildBridge.start(folder.path, ['--engine-wait', '0']);
  engine = await StubEngine.attach(bridge.url);
});
afterAll(async () => {
  await engine?.close();
  await bridge?.stop();
  folder.remove();
});

function posted(path: string, body: unknown, more = ''): string {
  const text = JSON.stringify(body);
  return `POST ${path} HTTP/1.1\r\nHost: localhost:${bridge.port}\r\nContent-Type: application/json\r\n${more}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** Requests in order, of every kind that the bridge takes. */
function corpus(): Buffer[] {
  const image = tinyPng({
    infotext: 'a cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64',
  }).toString('base64');
  const host = `Host: localhost:${bridge.port}\r\n`;
  const upgrade = `GET /easel/v1/relay?token=abc HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost:${bridge.port}\r\n\r\n`;
  return [
    `GET /sdapi/v1/options HTTP/1.1\r\n${host}Accept: */*\r\nAuthorization: Basic YW5uOnB3\r\nCookie: easel_session=1.2\r\n\r\n`,
    `GET /sdapi/v1/progress?skip_current_image=false HTTP/1.1\r\n${host}X-Request-Id: a-1\r\n\r\n`,
    `GET /easel/v1/jobs/last?key=abc HTTP/1.1\r\n${host}\r\n`,
    `GET /models/easel-tiny/unet/model.safetensors HTTP/1.1\r\n${host}Range: bytes=0-5\r\nIf-Range: "x"\r\n\r\n`,
    `OPTIONS /sdapi/v1/txt2img HTTP/1.1\r\n${host}Origin: https://lite.koboldai.net\r\nAccess-Control-Request-Method: POST\r\n\r\n`,
    `GET /k/abcdefghijklmnopqrstuvwx/sdapi/v1/sd-models HTTP/1.1\r\n${host}\r\n`,
    posted('/sdapi/v1/txt2img', {
      prompt: '(a:1.2) [b|c] <lora:x:1>',
      steps: 2,
      width: 64,
      height: 64,
      seed: 5,
      sampler_name: 'Euler a',
      batch_size: 1,
      override_settings: { CLIP_stop_at_last_layers: 2 },
      alwayson_scripts: {},
    }),
    posted('/sdapi/v1/img2img', {
      prompt: 'x',
      init_images: [image],
      mask: image,
      steps: 2,
      denoising_strength: 0.5,
      inpainting_fill: 1,
    }),
    posted('/sdapi/v1/png-info', { image }),
    posted('/sdapi/v1/extra-single-image', { image, upscaling_resize: 2, upscaler_1: 'Lanczos' }),
    posted('/sdapi/v1/options', { samples_format: 'png', CLIP_stop_at_last_layers: 1 }),
    posted('/sdapi/v1/interrupt', {}),
    posted('/controlnet/detect', { controlnet_module: 'canny', controlnet_input_images: [image] }),
    posted('/v1/images/generations', { prompt: 'x', n: 1, size: '256x256' }),
    posted('/easel/v1/downloads', { reference: 'a/b' }),
    posted('/login', {}, 'Origin: null\r\n'),
    `POST /sdapi/v1/txt2img HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n10\r\n{"prompt":"abc"}\r\n0\r\n\r\n`,
    upgrade,
    upgrade,
    upgrade.replace('websocket', 'h2c'),
  ].map((text) => Buffer.from(text, 'latin1'));
}

/** Changes a request as a whole, or its target or body alone, so that the rest of it still gets through. */
function mutateRequest(request: Buffer, random: () => number): Buffer {
  const split = request.indexOf('\r\n\r\n') + 4;
  const head = request.subarray(0, split).toString('latin1');
  const kind = random();
  if (kind < 0.3) return mutate(request, random);
  if (split === request.length || head.includes('chunked')) {
    const [line = '', ...headers] = head.split('\r\n');
    const [method, target = '', version] = line.split(' ');
    const changed = mutate(Buffer.from(target, 'latin1'), random)
      .toString('latin1')
      .replace(/[\s\0]/g, '%');
    return Buffer.from(
      [`${method} /${changed.replace(/^\//, '')} ${version}`, ...headers].join('\r\n') +
        request.subarray(split).toString('latin1'),
      'latin1',
    );
  }
  const body = mutate(request.subarray(split), random);
  const announced = head.replace(/Content-Length: \d+/, `Content-Length: ${body.length}`);
  return Buffer.concat([Buffer.from(announced, 'latin1'), body]);
}

/** Sends bytes; resolves with the statuses that came, once something came or after a moment. */
function send(bytes: Buffer): Promise<number[]> {
  return new Promise((resolve) => {
    const socket = connect(bridge.port, '127.0.0.1', () => socket.write(bytes));
    let answer = '';
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve([...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1])));
    };
    const timer = setTimeout(done, 60);
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      done();
    });
    socket.on('error', done);
    socket.on('close', done);
  });
}

async function probeWhile<T>(work: Promise<T>): Promise<number[]> {
  let isOver = false;
  const settle = () => {
    isOver = true;
  };
  work.then(settle, settle);
  const times: number[] = [];
  while (!isOver) {
    const start = performance.now();
    expect((await fetch(`${bridge.url}/health`)).status).toBeLessThan(504);
    times.push(performance.now() - start);
    await sleep(20);
  }
  await work;
  return times;
}

describe('hostile bytes', () => {
  const requests = amount('FUZZ_REQUESTS', 1_500, 20_000);
  const frames = amount('FUZZ_FRAMES', 600, 5_000);

  it(`S14 do not stop the bridge: ${requests} mutated requests and upgrades`, {
    timeout: 60_000 + requests * 20,
  }, async () => {
    const random = randomOf(SEED);
    const whole = corpus();
    const statuses = new Map<number, number>();
    const before = bridge.usage();
    let sent = 0;
    const sender = async () => {
      while (sent < requests) {
        const base = whole[sent % whole.length] ?? Buffer.alloc(0);
        sent += 1;
        const bytes = mutateRequest(base, random);
        for (const status of await send(bytes)) {
          if (status >= 500 && status !== 503 && status !== 501) {
            throw new Error(
              `${status} on ${JSON.stringify(bytes.toString('latin1')).slice(0, 1_500)}`,
            );
          }
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
      }
    };
    const times = await probeWhile(Promise.all(Array.from({ length: 16 }, sender)));
    await sleep(300);
    const after = bridge.usage();
    expect(bridge.running.process.exitCode).toBeNull();
    expect(bridge.running.output()).not.toContain('made a mistake');
    expect(after.rssMiB - before.rssMiB).toBeLessThan(300);
    expect(after.files - before.files).toBeLessThan(60);
    measured('S14', {
      ...{
        requests,
        seed: SEED,
        exits: 0,
        unhandled: 0,
        grownMiB: Math.round(after.rssMiB - before.rssMiB),
      },
      ...{ healthP50Ms: percentile(times, 0.5), healthP99Ms: percentile(times, 0.99) },
      statuses: [...statuses]
        .sort(([a], [b]) => a - b)
        .map(([status, count]) => `${status}: ${count}`)
        .join(', '),
    });
  });

  it(`S14 do not stop the bridge: ${frames} mutated frames of engines`, {
    timeout: 60_000 + frames * 40,
  }, async () => {
    const random = randomOf(SEED + 1);
    const lease = { jobId: 'job-1', attempt: 1 };
    const good = [
      helloFrame(),
      heartbeatFrame({ ...lease, step: 3 }),
      progressFrame(lease),
      imageFrame(lease),
      finishedFrame(lease),
      failedFrame(lease, { code: 'internal', message: 'x' }),
      { type: 'control-done', id: 1, error: null },
      { type: 'status', status: helloFrame().status },
      { type: 'catalog', catalog: helloFrame().catalog },
    ].map((frame) => Buffer.from(JSON.stringify(frame)));
    const { token } = (await (await fetch(`${bridge.url}/easel/v1/engine-token`)).json()) as {
      token: string;
    };
    let sent = 0;
    const codes = new Map<number, number>();
    const tab = async () => {
      while (sent < frames) {
        const socket = new WebSocket(`ws://127.0.0.1:${bridge.port}/easel/v1/relay?token=${token}`);
        socket.on('error', () => {});
        const closed = new Promise<number>((resolve) => socket.once('close', resolve));
        await new Promise<void>((resolve) => {
          socket.once('open', () => resolve());
          socket.once('close', () => resolve());
        });
        const isStranger = random() < 0.2;
        if (!isStranger) {
          const engineName = `fuzz-${Math.floor(random() * 1e9)}`;
          socket.send(
            JSON.stringify(
              helloFrame({ engineName, status: { ...helloFrame().status, state: 'waiting' } }),
            ),
          );
        }
        for (let count = 0; count < 20 && socket.readyState === WebSocket.OPEN; count += 1) {
          const frame = mutate(good[Math.floor(random() * good.length)] ?? Buffer.alloc(0), random);
          sent += 1;
          socket.send(random() < 0.05 ? frame : frame.toString('latin1'));
          await sleep(1);
        }
        socket.close();
        const code = await closed;
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    };
    const before = bridge.usage();
    const times = await probeWhile(Promise.all(Array.from({ length: 6 }, tab)));
    expect(bridge.running.process.exitCode).toBeNull();
    expect(bridge.running.output()).not.toContain('made a mistake');
    const { engines } = (await (await fetch(`${bridge.url}/health`)).json()) as {
      engines: unknown[];
    };
    expect(engines).toHaveLength(1);
    const reply = await fetch(`${bridge.url}/sdapi/v1/txt2img`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'still here', steps: 1 }),
    });
    expect(reply.status).toBe(200);
    measured('S14', {
      ...{
        frames,
        seed: SEED + 1,
        exits: 0,
        unhandled: 0,
        grownMiB: Math.round(bridge.usage().rssMiB - before.rssMiB),
      },
      ...{ healthP50Ms: percentile(times, 0.5), healthP99Ms: percentile(times, 0.99) },
      closeCodes: [...codes].map(([code, count]) => `${code}: ${count}`).join(', '),
    });
  });
});
