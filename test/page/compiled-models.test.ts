import { describe, expect, it } from 'vitest';
import { GenerationError } from '../../protocol/errors.ts';
import { deleteCompiled, keepStorage, readCompiled } from '../../web/page/compiled-models.ts';
import { createAppState } from '../../web/page/state.ts';
import type { CompiledInfo } from '../../web/shared/engine.ts';
import { FakeEngine } from '../fakes/fake-engine.ts';

const MODEL: CompiledInfo = {
  key: 'k1',
  name: 'dreamshaper_8',
  family: 'sd1',
  precision: 'fp16',
  sizeBytes: 2e9,
  createdAt: 1,
  lastUsedAt: 2,
  isInUse: false,
  isExportable: true,
};

function setUp() {
  const engine = new FakeEngine();
  engine.compiled = [MODEL, { ...MODEL, key: 'k2' }];
  const state = createAppState();
  return { engine, state, context: { engine, state } };
}

const keeper = (persisted: boolean, granted: boolean | Error) => ({
  asked: 0,
  persisted: async () => persisted,
  async persist() {
    this.asked += 1;
    if (granted instanceof Error) throw granted;
    return granted;
  },
});

describe('compiled models on the page', () => {
  it('are read with the room they take and whether the browser keeps them', async () => {
    const { state, context } = setUp();
    await readCompiled(context, keeper(false, false));
    expect(state.compiled.models.value).toHaveLength(2);
    expect(state.compiled.storage.value).toEqual({ usedBytes: 1e6, quotaBytes: 1e9 });
    expect(state.compiled.isKept.value).toBe(false);
  });

  it('are deleted one by one or all at once, and read again', async () => {
    const { engine, state, context } = setUp();
    await deleteCompiled(context, 'k1');
    expect(state.compiled.models.value?.map(({ key }) => key)).toEqual(['k2']);
    await deleteCompiled(context, null);
    expect(state.compiled.models.value).toEqual([]);
    expect(engine.calls).toEqual(['delete k1', 'delete all']);
  });

  it('that another tab uses stay, and the page says so', async () => {
    const { engine, state, context } = setUp();
    engine.failure = new GenerationError('busy', 'in use');
    await deleteCompiled(context, 'k1');
    expect(state.compiled.problem.value).toMatchObject({ code: 'busy', message: 'in use' });
    expect(state.compiled.models.value).toHaveLength(2);
  });

  it('D5 are kept on request, asked for once, and the answer is shown', async () => {
    const { state } = setUp();
    const granting = keeper(false, true);
    await keepStorage(state, granting);
    await keepStorage(state, granting);
    expect(state.compiled.isKept.value).toBe(true);
    expect(granting.asked).toBe(1);
  });

  it.each([
    ['says no', false, false],
    ['fails', new Error('no'), null],
  ])('a browser that %s when asked to keep them is shown as it is', async (_, answer, kept) => {
    const { state } = setUp();
    await keepStorage(state, keeper(false, answer));
    expect(state.compiled.isKept.value).toBe(kept);
  });
});
