import type { DeviceInfo } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import type { CompiledModel, ComponentName } from '../compiler/model.ts';
import { checkLatents } from '../compiler/onnx-folder/config.ts';

export interface JobSize {
  readonly width: number;
  readonly height: number;
  /** Pictures made at once. */
  readonly pictures: number;
}

const FLOAT_BYTES = 4;
/** The wasm memory holds input, output and scratch of a layer at once, beside the weights. */
const WASM_TENSORS_AT_ONCE = 3;

/**
 * Refuses a job before any work when its largest tensor is more than the device can hold. The estimate
 * is the widest layer at full size: of the UNet, which makes the whole batch with and without the negative
 * prompt, and of the VAE's decoder where even a tile of a picture is too large.
 */
export function assertFits(size: JobSize, model: CompiledModel, device: DeviceInfo): void {
  const { width, height, pictures } = size;
  const { vaeFactor } = model.description;
  // Another VAE may be in the place of the checkpoint's own, so that one speaks for itself.
  const own = model.components.find(({ name }) => name === 'unet');
  if (own) checkLatents(own, { height: height / vaeFactor, width: width / vaeFactor });
  const isTiled = largestTile(model, device) >= MIN_TILE;
  const decoder = isTiled ? 0 : decoderChannels(model) * width * height;
  const latents = (width / vaeFactor) * (height / vaeFactor);
  // A skip connection is joined to the widest neighbour on the way up: three times the first level.
  const unet = 3 * firstLevelChannels(model) * latents * 2 * pictures;
  const needed = Math.max(decoder, unet) * FLOAT_BYTES;
  const limit = tensorLimit(model, device);
  if (needed <= limit) return;
  const advice =
    unet > decoder
      ? 'Ask for fewer pictures at once.'
      : `About ${largestSide(size, needed, limit, vaeFactor)}×${largestSide(size, needed, limit, vaeFactor)} is the most it holds.`;
  throw new GenerationError(
    'invalid-request',
    `${pictures} × ${width}×${height} needs a block of ${gigabytes(needed)} on this device (${device.adapter}), which holds at most ${gigabytes(limit)}. ${advice}`,
  );
}

/** Latents a side below which a tile shows too little of the picture for the VAE to make sense of it. */
const MIN_TILE = 16;

/**
 * Side of the largest square that the VAE can do at once on this device, in latents. Two tensors decide: the
 * widest layer at full size, and the scores of the attention in its middle, which are one for each pair
 * of latents.
 */
export function largestTile(model: CompiledModel, device: DeviceInfo): number {
  const limit = Math.max(0, tensorLimit(model, device));
  const pixels = limit / (decoderChannels(model) * FLOAT_BYTES);
  const byLayers = Math.floor(Math.sqrt(pixels) / model.description.vaeFactor);
  return Math.min(byLayers, Math.floor((limit / FLOAT_BYTES) ** 0.25));
}

function decoderChannels(model: CompiledModel): number {
  return widestChannels(model, 'vae_decoder', 'blockOutChannels');
}

function tensorLimit(model: CompiledModel, device: DeviceInfo): number {
  if (device.provider === 'webgpu') {
    return Math.min(device.maxBufferBytes, device.maxStorageBindingBytes);
  }
  const weights = Math.max(
    ...model.components.map(({ shardSizes }) => shardSizes.reduce((sum, size) => sum + size, 0)),
  );
  return (device.maxBufferBytes - weights) / WASM_TENSORS_AT_ONCE;
}

function widestChannels(model: CompiledModel, name: ComponentName, field: string): number {
  const value = model.components.find((component) => component.name === name)?.config[field];
  // Full size is reached by the first two levels' channels.
  return Array.isArray(value) ? Math.max(0, ...value.slice(0, 2).map(Number)) : 0;
}

function firstLevelChannels(model: CompiledModel): number {
  const down = model.components.find(({ name }) => name === 'unet')?.config.down;
  const [first] = Array.isArray(down) ? down : [];
  return Number((first as { channels?: unknown } | undefined)?.channels ?? 0);
}

function largestSide(
  { width, height }: JobSize,
  needed: number,
  limit: number,
  vaeFactor: number,
): number {
  const side = Math.sqrt((width * height * limit) / needed);
  return Math.max(vaeFactor, Math.floor(side / vaeFactor) * vaeFactor);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
