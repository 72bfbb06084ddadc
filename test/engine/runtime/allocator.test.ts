import { describe, expect, test } from 'vitest';
import type { Ort } from '../../../web/engine/runtime/bundle.ts';
import { createRuntime } from '../../../web/engine/runtime/runtime.ts';
import { NODE_DEVICE } from '../../fakes/engine-access.ts';

/** The execution providers that a session is opened with. */
async function providersOf(allocator: 'caching' | 'simple' | 'disabled', gpu: GPUDevice | null) {
  let providers: unknown;
  const ort = {
    InferenceSession: {
      async create(_: Uint8Array, options: { executionProviders: unknown }) {
        providers = options.executionProviders;
        return { release: async () => {} };
      },
    },
  } as unknown as Ort;
  const runtime = createRuntime(ort, NODE_DEVICE, gpu, { allocator });
  await runtime.openSession({ onnx: new Uint8Array(0), shardPaths: [] }, { what: 'A part' });
  return providers;
}

describe('the allocator', () => {
  const gpu = { lost: new Promise(() => {}) } as unknown as GPUDevice;

  test.each([
    ['caching', 'bucket'],
    ['simple', 'simple'],
    ['disabled', 'disabled'],
  ] as const)(
    '%s is the runtime\'s buffer cache "%s" of every WebGPU session',
    async (given, mode) => {
      expect(await providersOf(given, gpu)).toEqual([
        { name: 'webgpu', device: gpu, storageBufferCacheMode: mode },
      ]);
    },
  );

  test('has no part in wasm sessions', async () => {
    expect(await providersOf('simple', null)).toEqual([{ name: 'wasm' }]);
  });
});
