import { request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { temporaryFolder } from '../bridge/support.ts';
import { ChildBridge } from './child-bridge.ts';
import { IS_LONG, measured, percentile } from './figures.ts';
import { pictureBombs } from './picture-bombs.ts';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What clients ask for when they connect. */
const LISTS = [
  ...['options', 'sd-models', 'samplers', 'schedulers'],
  ...['upscalers', 'loras', 'progress', 'cmd-flags'],
];

const folder = temporaryFolder();
let bridge: ChildBridge;

beforeAll(async () => {
  bridge = await ChildBridge.start(folder.path, ['--engine-wait', '0']);
});
afterAll(async () => {
  await bridge?.stop();
  folder.remove();
});

/** By Node's own client, which takes less of the time than fetch; resolves with the status. */
function post(path: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const options = { host: '127.0.0.1', port: bridge.port, path, method: 'POST', headers };
    request(options, (reply) => {
      reply.resume().once('end', () => resolve(reply.statusCode ?? 0));
    })
      .once('error', reject)
      .end(body);
  });
}

it('S10 is refused before it is decoded where it is a bomb, in a bridge just started', async () => {
  const requests = pictureBombs().map(({ name, bytes, isInTexts }, index) => {
    const image = bytes.toString('base64');
    const bodies = [
      ['/sdapi/v1/img2img', { init_images: [image] }],
      ['/sdapi/v1/png-info', { image }],
      ['/sdapi/v1/extra-single-image', { image }],
    ] as const;
    // Any route for a size; only png-info reads texts.
    const [path, body] = bodies[isInTexts ? 1 : index % 3]!;
    return { name: `${name}, ${path}`, path, body: JSON.stringify(body) };
  });
  // A client that has connected; no picture was asked for yet.
  for (const list of LISTS) await (await fetch(`${bridge.url}/sdapi/v1/${list}`)).text();
  await sleep(1_000);
  const before = bridge.usage().rssMiB;
  const times: { name: string; ms: number }[] = [];
  let peak = before;
  for (const { name, path, body } of requests) {
    const start = performance.now();
    const status = await post(path, body);
    times.push({ name, ms: performance.now() - start });
    expect(status, name).toBe(422);
    peak = Math.max(peak, bridge.usage().rssMiB);
  }
  // What a refused request may have left behind to be done.
  await sleep(1_000);
  const grownMiB = Math.max(peak, bridge.usage().rssMiB) - before;
  const slowest = times.reduce((most, time) => (time.ms > most.ms ? time : most));
  const all = times.map(({ ms }) => ms);
  measured('S10', {
    bombs: times.length,
    p50Ms: percentile(all, 0.5),
    maxMs: percentile(all, 1),
    slowest: slowest.name,
    grownMiB: Math.round(grownMiB * 10) / 10,
  });
  // A crowded machine keeps everybody waiting; `npm run promises` holds the times to their figure.
  expect(percentile(all, 0.5)).toBeLessThan(IS_LONG ? 50 : 150);
  expect(grownMiB).toBeLessThan(20);
});
