import { describe, expect, it } from 'vitest';
import { createCheckpointKeeper } from '../../web/engine/checkpoint-keeper.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';

describe('the store of compiled models', () => {
  it('is opened once, and again only after an opening that failed', async () => {
    const access = nodeAccess();
    let openings = 0;
    const keeper = createCheckpointKeeper(ENGINE_CONFIG, {
      ...access,
      async openStore() {
        openings += 1;
        if (openings === 1) throw new Error('another tab upgrades the database');
        return access.openStore();
      },
    });
    await expect(keeper.store()).rejects.toThrow('another tab');
    const [first, second] = await Promise.all([keeper.store(), keeper.store()]);
    expect(first).toBe(second);
    expect(openings).toBe(2);
  });
});
