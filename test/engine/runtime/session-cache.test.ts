import { describe, expect, test, vi } from 'vitest';
import type { ModelSession } from '../../../web/engine/runtime/runtime.ts';
import { SessionCache } from '../../../web/engine/runtime/session-cache.ts';

function setUp(budget: number) {
  const cache = new SessionCache(budget);
  const log: string[] = [];
  const get = (key: string, bytes: number) =>
    cache.get(key, bytes, async () => {
      log.push(`open ${key}`);
      return { run: async () => ({}), release: async () => void log.push(`release ${key}`) };
    });
  return { cache, log, get };
}

describe('sessions within a budget', () => {
  test('are opened once, also when asked for twice at once', async () => {
    const { log, get } = setUp(100);
    const [a, b] = await Promise.all([get('unet', 60), get('unet', 60)]);
    expect(a).toBe(b);
    expect(log).toEqual(['open unet']);
  });

  test('leave in the order of their last use when room is needed', async () => {
    const { log, get, cache } = setUp(100);
    await get('text', 30);
    await get('unet', 40);
    await get('vae', 20);
    await get('text', 30);
    expect(cache.hasRoomFor('unet 2', 40)).toBe(false);
    expect(cache.hasRoomFor('unet', 40)).toBe(true);
    await get('unet 2', 40);
    expect(log.slice(3)).toEqual(['release unet', 'open unet 2']);
    expect(cache.weightBytes).toBe(90);
  });

  test('larger than the budget run alone', async () => {
    const { log, get } = setUp(100);
    await get('text', 30);
    await get('huge', 500);
    expect(log).toEqual(['open text', 'release text', 'open huge']);
  });

  test('that fail to open are tried again', async () => {
    const { cache, get, log } = setUp(100);
    const failing = cache.get('unet', 10, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    await get('unet', 10);
    expect(log).toEqual(['open unet']);
  });

  test('are all released by clear, also when one refuses', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    const { cache, get, log } = setUp(100);
    await cache.get('lost', 10, async (): Promise<ModelSession> => {
      return { run: async () => ({}), release: () => Promise.reject(new Error('device lost')) };
    });
    await get('vae', 10);
    await cache.clear();
    expect(log).toEqual(['open vae', 'release vae']);
    expect(cache.weightBytes).toBe(0);
  });
});
