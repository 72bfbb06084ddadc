import { describe, expect, test } from 'vitest';
import {
  adapterName,
  type ChooseDeviceOptions,
  chooseDevice,
  requestDevice,
} from '../../../web/engine/runtime/adapter.ts';

interface FakeAdapter {
  vendor?: string;
  description?: string;
  isFallback?: boolean;
  features?: string[];
}

function adapter(facts: FakeAdapter): GPUAdapter {
  return {
    info: {
      vendor: facts.vendor ?? '',
      architecture: '',
      device: '',
      description: facts.description ?? '',
      isFallbackAdapter: facts.isFallback ?? false,
    },
    features: new Set(facts.features ?? []),
    limits: { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 30 },
  } as unknown as GPUAdapter;
}

/** A browser with one adapter for each wish. */
function gpu(by: { high?: GPUAdapter; low?: GPUAdapter; fallback?: GPUAdapter }): GPU {
  return {
    async requestAdapter(wish: GPURequestAdapterOptions) {
      if (wish.forceFallbackAdapter) return by.fallback ?? null;
      return (wish.powerPreference === 'low-power' ? (by.low ?? by.high) : by.high) ?? null;
    },
  } as unknown as GPU;
}

const NVIDIA = adapter({ vendor: 'nvidia', description: 'NVIDIA RTX', features: ['shader-f16'] });
const INTEL = adapter({ vendor: 'intel', description: 'Intel Iris' });
const SWIFTSHADER = adapter({ vendor: 'google', description: 'SwiftShader' });
const LLVMPIPE = adapter({ description: 'llvmpipe (LLVM 19)' });
const FALLBACK = adapter({ description: 'Basic', isFallback: true });

const choose = (options: Partial<ChooseDeviceOptions>) =>
  chooseDevice({
    device: 'auto',
    gpu: undefined,
    wasmThreads: 4,
    isSecureContext: true,
    ...options,
  });

describe('the choice of a device', () => {
  test('is the hardware adapter, with its own limits told', async () => {
    const { info, adapter: chosen } = await choose({ gpu: gpu({ high: NVIDIA, low: INTEL }) });
    expect(chosen).toBe(NVIDIA);
    expect(info).toMatchObject({
      provider: 'webgpu',
      adapter: 'NVIDIA RTX',
      isSoftware: false,
      hasShaderF16: true,
      maxBufferBytes: 2 ** 31,
      maxStorageBindingBytes: 2 ** 30,
    });
  });

  test.each([
    ['SwiftShader', SWIFTSHADER],
    ['llvmpipe', LLVMPIPE],
    ['a fallback adapter', FALLBACK],
  ])('is not %s unless it is asked for', async (_, software) => {
    const browser = gpu({ high: software, fallback: software });
    const auto = await choose({ gpu: browser });
    expect(auto.info).toMatchObject({ provider: 'wasm', wasmThreads: 4, isSoftware: false });
    expect(auto.info.reason).toContain(adapterName(software.info));
    const asked = await choose({ gpu: browser, device: 'webgpu' });
    expect(asked.info).toMatchObject({ provider: 'webgpu', isSoftware: true });
    const named = await choose({ gpu: browser, device: adapterName(software.info).slice(0, 5) });
    expect(named.adapter).toBe(software);
  });

  test('passes a software adapter by where there is hardware', async () => {
    expect((await choose({ gpu: gpu({ high: SWIFTSHADER, low: INTEL }) })).adapter).toBe(INTEL);
  });

  test('is the adapter whose name holds the wish', async () => {
    const browser = gpu({ high: NVIDIA, low: INTEL });
    expect((await choose({ gpu: browser, device: 'iris' })).adapter).toBe(INTEL);
    const none = await choose({ gpu: browser, device: 'radeon' });
    expect(none.adapter).toBe(NVIDIA);
    expect(none.info.reason).toContain('No adapter\'s name holds "radeon"');
  });

  test('is the processor where it is asked for, or nothing else is there', async () => {
    const asked = await choose({ gpu: gpu({ high: NVIDIA }), device: 'wasm' });
    expect(asked).toMatchObject({ adapter: null, info: { provider: 'wasm' } });
    expect((await choose({})).info.reason).toContain('has no WebGPU');
    expect((await choose({ isSecureContext: false })).info.reason).toContain('http://localhost');
    expect((await choose({ gpu: gpu({}) })).info.reason).toContain('no graphics adapter');
  });

  test('fails where WebGPU is insisted on and missing', async () => {
    const error = { code: 'webgpu-unavailable' };
    await expect(choose({ device: 'webgpu' })).rejects.toMatchObject(error);
    await expect(choose({ device: 'webgpu', gpu: gpu({}) })).rejects.toMatchObject(error);
  });
});

test('a device is opened with the adapter’s own limits and the features it has', async () => {
  let asked: GPUDeviceDescriptor = {};
  const opened = {
    ...NVIDIA,
    requestDevice: async (wish: GPUDeviceDescriptor) => {
      asked = wish;
      return {} as GPUDevice;
    },
  } as unknown as GPUAdapter;
  await requestDevice(opened);
  expect(asked.requiredLimits).toMatchObject({ maxBufferSize: 2 ** 31 });
  expect(asked.requiredFeatures).toEqual(['shader-f16']);
});
