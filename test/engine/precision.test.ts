import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { DeviceInfo } from '../../protocol/device.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { parseUnetConfig } from '../../web/compiler/config/unet-config.ts';
import { memoryBudget } from '../../web/engine/memory-budget.ts';
import { choosePrecision } from '../../web/engine/models/choose-precision.ts';
import {
  compiledBytes,
  storedBytes,
  type WeightCounts,
  weightCounts,
} from '../../web/engine/models/compiled-size.ts';
import { MemorySink } from '../compiler/lib/runtime.ts';
import { NODE_DEVICE } from '../fakes/engine-access.ts';
import { folderFiles } from '../fakes/file-source.ts';

const MODELS = new URL('../fixtures/models/', import.meta.url);
const GIBIBYTE = 2 ** 30;

/** The UNet of the real model, of which the fixtures hold the configuration. */
function realUnet(manifest: string): WeightCounts {
  const file = readFileSync(new URL(`full-keys/${manifest}.json.gz`, MODELS));
  const { configs } = JSON.parse(gunzipSync(file).toString());
  return weightCounts({ name: 'unet', config: parseUnetConfig('', configs.unet).config });
}

const SD15 = realUnet('sd15.diffusers');
const SDXL = realUnet('sdxl-base.diffusers');
const SMALL: WeightCounts = { linear: 1e6, plain: 1e6, full: 1e4 };

/** An adapter as Chrome shows it; `bindingBytes` stands for both of its limits. */
function adapter(name: string, bindingBytes: number, more: Partial<DeviceInfo> = {}): DeviceInfo {
  return {
    ...{ ...NODE_DEVICE, provider: 'webgpu', adapter: name, hasShaderF16: true, wasmThreads: 1 },
    ...{ maxBufferBytes: bindingBytes, maxStorageBindingBytes: bindingBytes },
    ...more,
  };
}

const WASM: DeviceInfo = NODE_DEVICE;
const CARD = adapter('discrete, 8 GB', 2 * GIBIBYTE - 4);
const TOLD_16 = adapter('discrete that tells its 16 GB', CARD.maxBufferBytes, {
  memoryBytes: 16 * GIBIBYTE,
});
const TOLD_4 = adapter('discrete that tells its 4 GB', CARD.maxBufferBytes, {
  memoryBytes: 4 * GIBIBYTE,
});
const OLD_CARD = adapter('discrete without halves', CARD.maxBufferBytes, { hasShaderF16: false });
const INTEGRATED = adapter('integrated without halves', GIBIBYTE, { hasShaderF16: false });
const INTEGRATED_F16 = adapter('integrated', GIBIBYTE);
const PHONE = adapter('phone', 128 * 2 ** 20);
const SOFTWARE = adapter('software', GIBIBYTE, { hasShaderF16: false, isSoftware: true });

const choose = (device: DeviceInfo, weights: WeightCounts, machine: number | null, shortages = 0) =>
  choosePrecision(
    'auto',
    device,
    weights,
    memoryBudget(device, { machineBytes: machine && machine * GIBIBYTE, shortages }),
  );

describe('the precision that auto chooses', () => {
  it.each([
    ['a small model', WASM, SMALL, null, 'fp32', 'float32'],
    ['a small model', OLD_CARD, SMALL, null, 'fp32', 'float32'],
    ['a small model', CARD, SMALL, null, 'fp16', 'float16'],
    ['a small model', PHONE, SMALL, 4, 'fp16', 'float16'],
    ['SD 1.5', CARD, SD15, null, 'fp16', 'float16'],
    ['SD 1.5', TOLD_16, SD15, 16, 'fp16', 'float16'],
    ['SD 1.5', TOLD_4, SD15, null, 'fp16', 'float16'],
    ['SD 1.5', OLD_CARD, SD15, null, 'fp32', 'float32'],
    ['SD 1.5', INTEGRATED_F16, SD15, null, 'fp16', 'float16'],
    ['SD 1.5', INTEGRATED, SD15, null, 'q8', 'float32'],
    ['SD 1.5', SOFTWARE, SD15, 16, 'fp32', 'float32'],
    ['SD 1.5', SOFTWARE, SD15, null, 'q8', 'float32'],
    ['SD 1.5', WASM, SD15, null, 'q8', 'float16'],
    ['SD 1.5', WASM, SD15, 16, 'q8', 'float16'],
    ['SD 1.5', CARD, SD15, 4, 'q8', 'float16'],
    ['SD 1.5', PHONE, SD15, 4, 'q8', 'float16'],
    ['SDXL', CARD, SDXL, null, 'q8', 'float16'],
    ['SDXL', TOLD_16, SDXL, 16, 'fp16', 'float16'],
    ['SDXL', INTEGRATED_F16, SDXL, null, 'q8', 'float16'],
    ['SDXL', WASM, SDXL, null, 'q4', 'float16'],
  ] as const)('for %s on $adapter', (_, device, weights, machine, precision, activations) => {
    const choice = choose(device, weights, machine);
    expect(choice).toMatchObject({ precision, activations });
    expect(choice.reason).toMatch(/^The .*\.$/);
    const best = device.hasShaderF16 ? 'fp16' : 'fp32';
    expect(choice.isReduced).toBe(precision !== best);
  });

  it('says what was too large for what', () => {
    expect(choose(CARD, SDXL, null).reason).toBe(
      'The weights are used in q8: in fp16 the largest part takes 4.8 GiB, but of a graphics memory of 8.0 GiB (assumed from the limits of the adapter) weights may take 4.0 GiB; so it takes 2.9 GiB.',
    );
    expect(choose(TOLD_4, SDXL, null).reason).toContain('of a graphics memory of 4.0 GiB weights');
    expect(choose(CARD, SD15, 4).reason).toContain('of a machine of 4.0 GiB weights may take 1.6');
    expect(choose(WASM, SD15, null).reason).toContain('of the 4 GiB of WebAssembly weights may');
    expect(choose(WASM, SDXL, null).reason).toContain('smallest form there is');
  });

  it('is smaller after the device ran out of memory, and says so', () => {
    expect(choose(OLD_CARD, SD15, null, 1)).toMatchObject({ precision: 'q4' });
    const once = choose(CARD, SDXL, null, 1);
    expect(once).toMatchObject({ precision: 'q4', activations: 'float16' });
    expect(once.reason).toContain('that ran out of memory weights may take 2.0 GiB');
  });
});

describe('a precision that was asked for', () => {
  const BUDGET = { weightBytes: GIBIBYTE, place: 'anything' };

  it('is refused where the adapter cannot compute in it', () => {
    expect(() => choosePrecision('fp16', OLD_CARD, SMALL, BUDGET)).toThrow(
      expect.objectContaining({
        code: 'unsupported',
        message:
          'The precision fp16 was asked for, but discrete without halves has no half-precision arithmetic (shader-f16). Choose auto, fp32, q8 or q4.',
      }),
    );
  });

  it.each([
    ['fp32', CARD, 'float32'],
    ['fp16', CARD, 'float16'],
    ['fp16', WASM, 'float16'],
    ['q8', CARD, 'float16'],
    ['q8', OLD_CARD, 'float32'],
    ['q4', WASM, 'float32'],
  ] as const)('%s is taken as it is', (wanted, device, activations) => {
    const choice = choosePrecision(wanted, device, SDXL, BUDGET);
    expect(choice).toMatchObject({ precision: wanted, activations, isReduced: false });
  });
});

describe('the size of a compiled model', () => {
  it('is told from shapes before anything is compiled', async () => {
    const checkpoint = await openCheckpoint(
      folderFiles(`${MODELS.pathname}sd15-tiny`, 'sd15-tiny'),
    );
    for (const precision of ['fp32', 'fp16', 'q8', 'q4'] as const) {
      for (const activations of ['float32', 'float16'] as const) {
        const sink = new MemorySink();
        const { components } = await compileCheckpoint(checkpoint, {
          precision,
          activations,
          sink,
        });
        const entries = components.flatMap(({ weights }) => Object.values(weights));
        const bytes = entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        expect(compiledBytes(checkpoint, { precision, activations })).toBe(bytes);
      }
    }
  });

  it('of the real UNets is what is known of them', () => {
    const parameters = ({ linear, plain, full }: WeightCounts) => linear + plain + full;
    expect(parameters(SD15) / 1e6).toBeCloseTo(859.5, 0);
    expect(parameters(SDXL) / 1e6).toBeCloseTo(2567.5, 0);
    const form = { precision: 'q4', activations: 'float16' } as const;
    expect(storedBytes(SDXL, form)).toBeLessThan(2.2 * GIBIBYTE);
  });
});
