import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IS_LONG, measured } from '../promises/figures.ts';
import type { RunningBridge } from './support/bridge.ts';
import { listenToJobs, until } from './support/job-events.ts';
import type { RawBrowser } from './support/raw-browser.ts';
import { type SoftwareEngine, startSoftwareEngine } from './support/software-engine.ts';

interface Health {
  readonly status: string;
  readonly message: string;
}

describe('an engine whose GPU process is killed', () => {
  let engine: SoftwareEngine;
  let bridge: RunningBridge;
  let browser: RawBrowser;

  beforeAll(async () => {
    engine = await startSoftwareEngine();
    ({ bridge, browser } = engine);
  });
  afterAll(async () => engine?.stop());

  const health = () => bridge.get<Health & Record<string, unknown>>('/health');

  /** Kills the GPU process once the job has done a step; events are told with the time since. */
  async function loseDevice(job: () => Promise<Response>) {
    const { events, stop } = await listenToJobs(bridge.url);
    const reply = job();
    const isWorking = () =>
      events.some(({ stage, step }) => stage === 'sampling' && (step ?? 0) > 0);
    await until('a step', isWorking, 120_000);
    events.length = 0;
    const killedAt = performance.now();
    browser.killGpuProcess();
    const response = await reply;
    const endedMs = performance.now() - killedAt;
    await stop();
    const text = await response.text();
    return { response, text, endedMs, killedAt, events };
  }

  /** Waits out what is promised of a blocked device, and makes a picture on the one that comes. */
  async function comeBack(killedAt: number): Promise<number> {
    await until('the device', async () => (await health()).status === 'ready', 160_000);
    const backMs = performance.now() - killedAt;
    expect((await engine.draw(1)).status).toBe(200);
    return backMs;
  }

  async function expectBlocked(): Promise<void> {
    expect(await health()).toMatchObject({
      status: 'gpu-blocked',
      message: expect.stringContaining('two minutes'),
    });
    const refused = await engine.draw(1);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('120');
    expect(await refused.text()).toContain('blocked');
  }

  // Pictures take a software adapter minutes where the machine is busy.
  if (IS_LONG) {
    it('R9 has a new device within 10 s and makes the job again; a second loss blocks it, and it comes back by itself', {
      timeout: 1_200_000,
    }, async () => {
      const first = await loseDevice(() => engine.draw(4));
      expect(first.response.status, first.text).toBe(200);
      expect(JSON.parse(first.text).images).toHaveLength(1);
      // The second try loads its checkpoint once it has a device to load it to.
      const loading = first.events.find(({ stage }) => stage === 'loading');
      const newDeviceMs = (loading?.at ?? Number.POSITIVE_INFINITY) - first.killedAt;
      expect(newDeviceMs).toBeLessThan(10_000);
      const second = await loseDevice(() => engine.draw(4));
      expect(second.response.status, second.text).toBe(503);
      await expectBlocked();
      const backMs = await comeBack(second.killedAt);
      expect(backMs).toBeLessThan(150_000);
      measured('R9', {
        ...{ newDeviceMs: Math.round(newDeviceMs), redoneMs: Math.round(first.endedMs) },
        ...{ blockedMs: Math.round(second.endedMs), backMs: Math.round(backMs) },
      });
    });
  } else {
    it('R9 goes on with a new device after a first loss, and says after a second that the browser blocks it', async () => {
      browser.killGpuProcess();
      await until('the loss', async () => (await health()).message.includes('was lost'));
      expect((await health()).status).toBe('ready');
      expect((await bridge.post('/sdapi/v1/reload-checkpoint', {})).status).toBe(200);
      expect(await health()).toMatchObject({ status: 'ready', message: 'Ready for requests.' });
      const killedAt = performance.now();
      browser.killGpuProcess();
      await until('the block', async () => (await health()).status === 'gpu-blocked');
      const blockedMs = performance.now() - killedAt;
      expect(blockedMs).toBeLessThan(10_000);
      await expectBlocked();
      measured('R9', { blockedMs: Math.round(blockedMs) });
    });
  }
});
