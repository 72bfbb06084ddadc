import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createIdleTimer } from '../../web/engine/idle-timer.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const MINUTE = 60_000;

function work(ms: number) {
  return () => new Promise<void>((resolve) => setTimeout(resolve, ms));
}

describe('idle time', () => {
  test('begins when the last task ends', async () => {
    const onIdle = vi.fn();
    const timer = createIdleTimer(5, onIdle);
    const long = timer.during(work(3 * MINUTE));
    const short = timer.during(work(MINUTE));
    await vi.advanceTimersByTimeAsync(3 * MINUTE);
    await Promise.all([long, short]);
    await vi.advanceTimersByTimeAsync(5 * MINUTE - 1);
    expect(onIdle).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(onIdle).toHaveBeenCalledTimes(1);
  });

  test('begins anew after a task that failed', async () => {
    const onIdle = vi.fn();
    const timer = createIdleTimer(1, onIdle);
    await timer.during(async () => {});
    await vi.advanceTimersByTimeAsync(MINUTE - 1);
    await expect(
      timer.during(async () => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await vi.advanceTimersByTimeAsync(MINUTE - 1);
    expect(onIdle).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(onIdle).toHaveBeenCalledTimes(1);
  });

  test.each([
    ['never comes without a limit', null],
    ['of months does not come at once', 60 * 24 * 90],
  ])('%s', async (_, minutes) => {
    const onIdle = vi.fn();
    const timer = createIdleTimer(minutes, onIdle);
    await timer.during(async () => {});
    await vi.advanceTimersByTimeAsync(60 * MINUTE);
    expect(onIdle).not.toHaveBeenCalled();
    timer.close();
  });

  test('ends with the timer, also while a task runs', async () => {
    const onIdle = vi.fn();
    const timer = createIdleTimer(1, onIdle);
    const task = timer.during(work(MINUTE));
    timer.close();
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    await task;
    expect(onIdle).not.toHaveBeenCalled();
  });
});
