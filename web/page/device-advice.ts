import type { DeviceInfo } from '../../protocol/device.ts';
import { t } from './strings/strings.ts';

const GIBIBYTE = 2 ** 30;

/** Graphics memory is shared with layers, desktop and language model: half is for weights, as the engine reckons. */
const WEIGHT_SHARE = 0.5;

/** Millions of weights of the largest part, the UNet. */
const FAMILIES = [
  { name: 'Stable Diffusion 1.5', millions: 860 },
  { name: 'Stable Diffusion 2', millions: 866 },
  { name: 'SDXL', millions: 2567 },
] as const;

/** Bytes a weight, the most exact first; 8 and 4 bits have their scales beside them. */
const PRECISIONS = [
  ['fp16', 2],
  ['q8', 1.07],
  ['q4', 0.57],
] as const;

/** Memory that an adapter's limits stand for where the browser does not tell it. */
function memoryOf({ memoryBytes, maxBufferBytes, maxStorageBindingBytes }: DeviceInfo): number {
  if (memoryBytes !== undefined) return memoryBytes;
  const binding = Math.min(maxBufferBytes, maxStorageBindingBytes) + 2 ** 16;
  if (binding >= 2 * GIBIBYTE) return 8 * GIBIBYTE;
  return binding >= GIBIBYTE ? 6 * GIBIBYTE : 3 * GIBIBYTE;
}

/** The most exact precision in which a family's largest part fits; null where none does. */
function precisionFor(millions: number, budgetBytes: number): string | null {
  return PRECISIONS.find(([, bytes]) => millions * 1e6 * bytes <= budgetBytes)?.[0] ?? null;
}

/** What a device can run, in one or two plain sentences; how fast it is, only a measurement tells. */
export function deviceAdvice(device: DeviceInfo): string {
  if (device.provider === 'wasm') return t.advice.wasm;
  if (device.isSoftware) return t.advice.software;
  const bytes = memoryOf(device);
  const fits = FAMILIES.flatMap(({ name, millions }) => {
    const precision = precisionFor(millions, bytes * WEIGHT_SHARE);
    return precision === null ? [] : [`${name} (${precision})`];
  });
  const gibibytes = Math.round(bytes / GIBIBYTE);
  const isAssumed = device.memoryBytes === undefined;
  return fits.length === 0 ? t.advice.none(gibibytes) : t.advice.fits(fits, gibibytes, isAssumed);
}
