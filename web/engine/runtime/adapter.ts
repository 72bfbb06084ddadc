import type { DeviceInfo } from '../../../protocol/device.ts';
import { GenerationError } from '../../../protocol/errors.ts';

/** What was chosen to run on; `adapter` is null for the wasm provider. */
export interface DeviceChoice {
  readonly info: DeviceInfo;
  readonly adapter: GPUAdapter | null;
}

export interface ChooseDeviceOptions {
  /** `auto`, `webgpu`, `wasm`, or part of an adapter's name. */
  readonly device: string;
  /** `navigator.gpu`, undefined where the browser has none. */
  readonly gpu: GPU | undefined;
  readonly wasmThreads: number;
  readonly isSecureContext: boolean;
}

/** Names by which software renderers give themselves away; `isFallbackAdapter` is not always set. */
const SOFTWARE_NAMES = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|software/i;

/** An adapter's name for people, from what the browser discloses. */
export function adapterName(info: GPUAdapterInfo): string {
  if (info.description) return info.description;
  const parts = [info.vendor, info.architecture, info.device].filter((part) => part !== '');
  return parts.join(' ') || 'unnamed adapter';
}

function isSoftware(info: GPUAdapterInfo): boolean {
  if (info.isFallbackAdapter) return true;
  return SOFTWARE_NAMES.test(
    [info.vendor, info.architecture, info.device, info.description].join(' '),
  );
}

function wasmChoice(threads: number, reason: string): DeviceChoice {
  const threadText = threads === 1 ? 'one thread' : `${threads} threads`;
  return {
    adapter: null,
    info: {
      provider: 'wasm',
      adapter: `processor (WebAssembly, ${threadText})`,
      isSoftware: false,
      hasShaderF16: false,
      // One value of a 32-bit wasm memory cannot be larger.
      maxBufferBytes: 2 ** 32 - 2 ** 16,
      maxStorageBindingBytes: 2 ** 32 - 2 ** 16,
      wasmThreads: threads,
      reason,
    },
  };
}

/** `memoryHeaps` is Chrome's, behind its developer features for WebGPU. */
interface HeapInfo {
  readonly size: number;
  readonly properties: number;
}
/** The heap lies on the card itself. */
const DEVICE_LOCAL = 1;

/** The adapter's own memory in bytes; undefined where the browser keeps it to itself. */
function adapterMemory(info: GPUAdapterInfo): number | undefined {
  const { memoryHeaps } = info as { memoryHeaps?: readonly HeapInfo[] };
  const local = (memoryHeaps ?? []).filter(({ properties }) => properties & DEVICE_LOCAL);
  const bytes = Math.max(0, ...local.map(({ size }) => size));
  return bytes > 0 ? bytes : undefined;
}

function gpuChoice(adapter: GPUAdapter, reason: string): DeviceChoice {
  const memoryBytes = adapterMemory(adapter.info);
  return {
    adapter,
    info: {
      provider: 'webgpu',
      adapter: adapterName(adapter.info),
      isSoftware: isSoftware(adapter.info),
      hasShaderF16: adapter.features.has('shader-f16'),
      maxBufferBytes: adapter.limits.maxBufferSize,
      maxStorageBindingBytes: adapter.limits.maxStorageBufferBindingSize,
      wasmThreads: 1,
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
      reason,
    },
  };
}

/** Every adapter the browser shows, the fastest first and each once. */
async function listAdapters(gpu: GPU): Promise<GPUAdapter[]> {
  const found: GPUAdapter[] = [];
  const requests: GPURequestAdapterOptions[] = [
    { powerPreference: 'high-performance' },
    { powerPreference: 'low-power' },
    { forceFallbackAdapter: true },
  ];
  for (const request of requests) {
    const adapter = await gpu.requestAdapter(request);
    if (!adapter) continue;
    const name = adapterName(adapter.info);
    if (!found.some((other) => adapterName(other.info) === name)) found.push(adapter);
  }
  return found;
}

/**
 * Chooses the device: a hardware adapter, else the processor. A software adapter is far slower than
 * the wasm provider and is taken only where `device` asks for `webgpu` or for its name.
 * Rejects with `webgpu-unavailable` when `device` insists on WebGPU and the browser gives no adapter.
 */
export async function chooseDevice(options: ChooseDeviceOptions): Promise<DeviceChoice> {
  const { device, gpu, wasmThreads: threads, isSecureContext } = options;
  if (device === 'wasm') return wasmChoice(threads, 'The wasm provider was asked for.');
  if (!gpu) {
    const reason = isSecureContext
      ? 'This browser has no WebGPU, so pictures are made on the processor.'
      : 'Browsers give WebGPU to secure pages alone; open Easel at http://localhost or over https. Until then pictures are made on the processor.';
    if (device === 'webgpu') throw new GenerationError('webgpu-unavailable', reason);
    return wasmChoice(threads, reason);
  }
  const adapters = await listAdapters(gpu);
  const [first] = adapters;
  if (device === 'webgpu') {
    if (first) return gpuChoice(first, 'WebGPU was asked for.');
    throw new GenerationError(
      'webgpu-unavailable',
      'WebGPU was asked for, but the browser gives no graphics adapter now.',
    );
  }
  if (device !== 'auto') {
    const wanted = device.toLowerCase();
    const named = adapters.find(({ info }) =>
      [info.vendor, info.architecture, info.device, info.description]
        .join(' ')
        .toLowerCase()
        .includes(wanted),
    );
    if (named) return gpuChoice(named, `Its name holds "${device}", as asked for.`);
  }
  const prefix = device === 'auto' ? '' : `No adapter's name holds "${device}". `;
  const hardware = adapters.find(({ info }) => !isSoftware(info));
  if (hardware) return gpuChoice(hardware, `${prefix}The best graphics adapter of this browser.`);
  if (first) {
    return wasmChoice(
      threads,
      `${prefix}The only graphics adapter, ${adapterName(first.info)}, is made of software and slower than the processor itself.`,
    );
  }
  return wasmChoice(
    threads,
    `${prefix}The browser gives no graphics adapter, so pictures are made on the processor.`,
  );
}

const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxBindGroups',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/**
 * onnxruntime's attention kernel gives wrong numbers on subgroups of 4 lanes (SwiftShader's), and right
 * ones on any adapter whose device has no subgroups.
 */
const MIN_SUBGROUP_SIZE = 8;

function usefulFeatures(adapter: GPUAdapter): GPUFeatureName[] {
  const features: GPUFeatureName[] = ['shader-f16'];
  const { subgroupMinSize } = adapter.info;
  if (subgroupMinSize === undefined || subgroupMinSize >= MIN_SUBGROUP_SIZE) {
    features.push('subgroups');
  }
  return features.filter((feature) => adapter.features.has(feature));
}

/** Opens the adapter's device with the adapter's own limits: the defaults are made for the weakest. */
export async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits: Record<string, GPUSize64> = {};
  for (const name of LIMITS) requiredLimits[name] = adapter.limits[name];
  return adapter.requestDevice({
    requiredLimits,
    requiredFeatures: usefulFeatures(adapter),
  });
}
