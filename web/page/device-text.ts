import type { DeviceInfo, EngineStatus } from '../../protocol/device.ts';
import { t } from './strings/strings.ts';

/**
 * One line that says what the engine runs on; without a usable GPU it says so. A remote engine is on
 * another machine than this page.
 */
export function deviceLine(device: DeviceInfo | null, { isRemote = false } = {}): string {
  if (isRemote) return device ? t.device.remote(device.adapter) : t.device.remoteNone;
  if (!device) return t.device.looking;
  if (device.provider === 'wasm') return t.device.wasm(device.wasmThreads);
  return device.isSoftware ? t.device.software(device.adapter) : t.device.webgpu(device.adapter);
}

/** Whether the device line needs its reason beside it: always, unless all is as hoped for. */
export function needsReason(device: DeviceInfo | null): device is DeviceInfo {
  return device !== null && (device.provider === 'wasm' || device.isSoftware);
}

/** Colour of the lamp beside the device line. */
export function deviceTone(status: EngineStatus): 'good' | 'busy' | 'bad' {
  if (status.state === 'blocked') return 'bad';
  return status.state === 'idle' ? 'good' : 'busy';
}
