import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { DeviceInfo } from '../../protocol/device.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { parseUnetConfig } from '../../web/compiler/config/unet-config.ts';
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

const WASM: DeviceInfo = NODE_DEVICE;
const GPU: DeviceInfo = { ...NODE_DEVICE, provider: 'webgpu', adapter: 'Card' };
const HALF_GPU: DeviceInfo = { ...GPU, hasShaderF16: true };

describe('the precision that auto chooses', () => {
  it.each([
    ['a small model on the processor', WASM, SMALL, null, 'fp32', 'float32', false],
    ['a small model on a card', GPU, SMALL, null, 'fp32', 'float32', false],
    ['a small model on a card with halves', HALF_GPU, SMALL, null, 'fp16', 'float16', false],
    ['SD 1.5 on a card with halves', HALF_GPU, SD15, null, 'fp16', 'float16', false],
    ['SD 1.5 on a card without', GPU, SD15, null, 'fp32', 'float32', false],
    ['SD 1.5 on the processor', WASM, SD15, null, 'q8', 'float16', true],
    ['SDXL on a card with halves', HALF_GPU, SDXL, null, 'q8', 'float16', true],
    ['SD 1.5 with halves, 4 GiB of memory', HALF_GPU, SD15, 4 * GIBIBYTE, 'q8', 'float16', true],
    ['SDXL on the processor', WASM, SDXL, null, 'q4', 'float16', true],
  ] as const)('%s', (_, device, weights, memory, precision, activations, isReduced) => {
    const choice = choosePrecision('auto', device, weights, memory);
    expect(choice).toMatchObject({ precision, activations, isReduced });
    expect(choice.reason).toMatch(/^The .*\.$/);
  });

  it('says what was too large for what', () => {
    const { reason } = choosePrecision('auto', HALF_GPU, SDXL, null);
    expect(reason).toMatch(
      /^The weights are used in q8: in fp16 the largest part takes 4\.8 GiB, too much for the memory of most graphics cards; so it takes \d\.\d GiB\.$/,
    );
    expect(choosePrecision('auto', WASM, SDXL, null).reason).toContain('smallest form there is');
  });
});

describe('a precision that was asked for', () => {
  it('is refused where the adapter cannot compute in it', () => {
    expect(() => choosePrecision('fp16', GPU, SMALL, null)).toThrow(
      expect.objectContaining({
        code: 'unsupported',
        message:
          'The precision fp16 was asked for, but Card has no half-precision arithmetic (shader-f16). Choose auto, fp32, q8 or q4.',
      }),
    );
  });

  it.each([
    ['fp32', HALF_GPU, 'float32'],
    ['fp16', HALF_GPU, 'float16'],
    ['fp16', WASM, 'float16'],
    ['q8', HALF_GPU, 'float16'],
    ['q8', GPU, 'float32'],
    ['q4', WASM, 'float32'],
  ] as const)('%s is taken as it is', (wanted, device, activations) => {
    const choice = choosePrecision(wanted, device, SDXL, null);
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
