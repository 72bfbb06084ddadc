import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLOSE_CODES } from '../../protocol/relay.ts';
import { FakeTab } from '../fakes/fake-tab.ts';
import { startTestBridge, type TestBridge } from './support.ts';

describe('a bridge with one tab, over real sockets', () => {
  let bridge: TestBridge;
  let tab: FakeTab;

  beforeAll(async () => {
    bridge = await startTestBridge();
    tab = await FakeTab.attach(bridge.url);
  });

  afterAll(async () => {
    await tab?.close();
    await bridge?.dispose();
  });

  it('makes a picture of an A1111 request, saves it, and names the job', async () => {
    const response = await bridge.post('/sdapi/v1/txt2img', { prompt: 'a red apple', seed: 7 });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    const [image] = JSON.parse(text).images as string[];
    const jobId = response.headers.get('x-easel-job');
    expect(jobId).toMatch(/^[\w-]{36}$/);
    const folder = bridge.services.outputs.folder;
    const names = readdirSync(folder).filter((name) => name.endsWith('.png'));
    expect(names).toHaveLength(1);
    expect(names[0]).toMatch(/^\d{6}_a_red_apple_7\.png$/);
    expect(readFileSync(join(folder, names[0]!)).toString('base64')).toBe(image);
    const again = await (await fetch(`${bridge.url}/easel/v1/jobs/${jobId}`)).json();
    expect(again).toMatchObject({ id: jobId, state: 'finished', images: [image], seeds: [7] });
    expect(existsSync(again.savedAs[0])).toBe(true);
  });
});

describe('stopping', () => {
  it('R19 ends within its time though a tab and a slow client hang on', async () => {
    const bridge = await startTestBridge();
    const tab = await FakeTab.attach(bridge.url, { answers: false });
    const pending = bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 1 });
    await tab.until(() => tab.jobs.length === 1);
    const start = Date.now();
    const stopped = bridge.dispose();
    const refused = await bridge.post('/sdapi/v1/txt2img', { prompt: 'y' });
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();
    const health = await fetch(`${bridge.url}/health`);
    expect([health.status, (await health.json()).status]).toEqual([503, 'stopping']);
    const reply = await pending;
    expect(reply.status).toBe(503);
    expect((await reply.json()).detail).toContain('/easel/v1/jobs/');
    await stopped;
    expect(Date.now() - start).toBeLessThan(10_000);
    expect(await tab.closed).toBe(CLOSE_CODES.stopping);
  }, 15_000);
});
