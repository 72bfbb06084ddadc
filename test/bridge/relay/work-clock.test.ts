import { describe, expect, it } from 'vitest';
import { DevicePace, WorkClock } from '../../../bridge/relay/work-clock.ts';
import type { DeviceInfo } from '../../../protocol/device.ts';
import { type GenerationInput, generationParams } from '../../../protocol/generation.ts';
import { FAKE_DEVICE, progressFrame } from '../../fakes/tab-frames.ts';

const LEASE = { jobId: 'a', attempt: 1 };
const WASM: DeviceInfo = { ...FAKE_DEVICE, provider: 'wasm' };

function clockOf(
  params: GenerationInput = {},
  { pace = new DevicePace(), device = FAKE_DEVICE } = {},
) {
  const clock = new WorkClock(generationParams.parse({ prompt: 'x', steps: 20, ...params }), {
    ...{ pace, device },
    now: 0,
  });
  return {
    clock,
    /** Steps `from` to `to`, each `stepMs` after the one before. */
    run(from: number, to: number, stepMs: number, start = 0): number {
      let now = start;
      for (let step = from; step <= to; step += 1) {
        now += stepMs;
        clock.seen(progressFrame(LEASE, { step, steps: 20 }), now);
      }
      return now;
    },
  };
}

describe('the clocks of a job', () => {
  it('R3 calls a job stuck that finishes no step for a minute, whatever heartbeats say', () => {
    const { clock, run } = clockOf();
    const now = run(1, 5, 500);
    expect(clock.stuckBecause(now + 60_000)).toBeNull();
    expect(clock.stuckBecause(now + 60_001)).toMatch(/no step for 60 s/);
  });

  it('R3 takes the same step told again for no sign of work', () => {
    const { clock, run } = clockOf();
    const now = run(1, 5, 500);
    for (let at = now; at < now + 61_000; at += 2_000) {
      clock.seen(progressFrame(LEASE, { step: 5, steps: 20, etaSeconds: at }), at);
    }
    expect(clock.stuckBecause(now + 61_000)).not.toBeNull();
  });

  it('R3 gives twenty median steps where steps are long', () => {
    const { clock, run } = clockOf();
    const now = run(1, 5, 30_000);
    expect(clock.stuckBecause(now + 599_000)).toBeNull();
    expect(clock.stuckBecause(now + 601_000)).not.toBeNull();
  });

  it('R3 is patient before any step has told how fast the device is, and while it loads', () => {
    const { clock } = clockOf();
    clock.seen(progressFrame(LEASE, { stage: 'loading', step: 0 }), 1_000);
    expect(clock.stuckBecause(600_000)).toBeNull();
    expect(clock.stuckBecause(602_000)).not.toBeNull();
    clock.seen(progressFrame(LEASE, { stage: 'sampling', step: 0 }), 602_000);
    expect(clock.stuckBecause(1_200_000)).toBeNull();
  });

  it('R3 never ends a job on wasm that goes at its own speed', () => {
    const pace = new DevicePace();
    const { clock, run } = clockOf({ steps: 20 }, { pace, device: WASM });
    let now = 0;
    for (let step = 1; step <= 20; step += 1) {
      now = run(step, step, 240_000, now);
      expect(clock.stuckBecause(now + 240_000)).toBeNull();
    }
    expect(clock.stuckBecause(now + 4_000_000)).toBeNull();
    expect(clock.stuckBecause(now + 6_000_000)).not.toBeNull();
  });

  it('R3 ends a job that takes far longer than its steps say, scaled by steps and pixels', () => {
    const small = clockOf({ steps: 20, width: 512, height: 512 });
    // 30 s + 2 s x 20 steps is below the floor of 150 s.
    let now = small.run(1, 3, 100);
    for (; now < 149_000; now += 50_000) small.clock.seen(progressFrame(LEASE, { step: now }), now);
    expect(small.clock.stuckBecause(now)).toMatch(/worked for/);
    const large = clockOf({ steps: 100, width: 1024, height: 1024 });
    now = large.run(1, 3, 100);
    for (; now < 800_000; now += 50_000) large.clock.seen(progressFrame(LEASE, { step: now }), now);
    expect(large.clock.stuckBecause(now)).toBeNull();
  });

  it('R3 knows the device from the job before, and forgives a sleep', () => {
    const pace = new DevicePace();
    clockOf({}, { pace }).run(1, 10, 100);
    expect(pace.unitMs).toBeCloseTo(100);
    const { clock, run } = clockOf({}, { pace });
    const now = run(1, 1, 100);
    expect(clock.stuckBecause(now + 61_000)).not.toBeNull();
    clock.forgive(61_000);
    expect(clock.stuckBecause(now + 61_000)).toBeNull();
  });

  it('R3 gives the larger second pass its longer steps', () => {
    const { clock, run } = clockOf({ hires: { scale: 2 } });
    const now = run(1, 20, 1_000);
    expect(clock.stuckBecause(now + 300_000)).toBeNull();
    expect(clock.stuckBecause(now + 330_000)).not.toBeNull();
  });
});
