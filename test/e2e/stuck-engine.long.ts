import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { measured, percentile } from '../promises/figures.ts';
import { listenToJobs, until } from './support/job-events.ts';
import { type SoftwareEngine, startSoftwareEngine } from './support/software-engine.ts';

/** Lets the software adapter pass for a card: on software a step may take ten minutes. */
const AS_A_CARD = `for (const name of ['vendor', 'architecture', 'device', 'description'])
  Object.defineProperty(GPUAdapterInfo.prototype, name, { get: () => 'test' });
Object.defineProperty(GPUAdapterInfo.prototype, 'isFallbackAdapter', { get: () => false });`;

/** From now on the driver answers nothing, as one that hangs; the worker's event loop lives. */
const HANG = `GPUQueue.prototype.onSubmittedWorkDone = GPUBuffer.prototype.mapAsync =
  () => new Promise(() => {});`;

describe('an engine whose driver never answers', () => {
  let engine: SoftwareEngine;

  beforeAll(async () => {
    engine = await startSoftwareEngine({ prepare: AS_A_CARD });
  });
  afterAll(async () => engine?.stop());

  it('R3 is started anew, worker and device, and the job is made once more', {
    timeout: 1_200_000,
  }, async () => {
    const { bridge, workers } = engine;
    const { events, stop } = await listenToJobs(bridge.url);
    // Node's own client would wait for no longer than five minutes without a byte.
    const reply = engine.draw(8, { 'x-easel-keep-alive': '60' });
    const steps = () => events.filter(({ stage, step }) => stage === 'sampling' && (step ?? 0) > 0);
    await until('four steps', () => steps().length > 4, 240_000);
    const before = workers.length;
    const times = steps().map(({ at }) => at);
    const between = times.slice(1).map((at, place) => at - (times[place] ?? at));
    await workers.at(-1)?.evaluate(HANG);
    const hungAt = performance.now();
    await until('the end of its patience', () => bridge.output().includes('cut off'), 400_000);
    const takenAwayMs = performance.now() - hungAt;
    const restartMs = await until('a new worker', () => workers.length > before, 20_000);
    const isRedone = () =>
      events.some(({ stage, attempt }) => attempt === 2 && stage === 'sampling');
    const redoneMs = restartMs + (await until('its second try', isRedone, 240_000));
    const response = await reply;
    const text = await response.text();
    expect(response.status, text).toBe(200);
    expect(JSON.parse(text).images).toHaveLength(1);
    expect(workers).toHaveLength(before + 1);
    const stepMs = percentile(between, 0.5);
    expect(takenAwayMs).toBeGreaterThan(58_000);
    expect(takenAwayMs).toBeLessThan(Math.max(60_000, 20 * Math.max(...between)) + 15_000);
    await stop();
    measured('R3', {
      ...{ stepMs: Math.round(stepMs), takenAwayMs: Math.round(takenAwayMs) },
      ...{ newWorkerMs: Math.round(restartMs), firstStepAgainMs: Math.round(redoneMs) },
    });
  });
});
