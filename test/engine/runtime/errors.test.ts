import { expect, test } from 'vitest';
import { GenerationError } from '../../../protocol/errors.ts';
import { runtimeError } from '../../../web/engine/runtime/errors.ts';

test.each([
  ['device-lost', 'Failed to download data from buffer: device is lost'],
  ['device-lost', 'A valid external Instance reference no longer exists.'],
  ['out-of-memory', "Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc"],
  ['out-of-memory', 'Array buffer allocation failed'],
  [
    'unsupported',
    'Provider type for GroupNorm node with name "n" is not set. transformer_memcpy.cc:253',
  ],
  ['unsupported', 'The model requires f16 but the device does not support it.'],
  [
    'storage-full',
    'Deserialize tensor a failed.Failed to load external data file ""unet.0.weights"", error: Unknown error occurred in memory copy.',
  ],
  ['internal', 'something else'],
])('%s: %s', (code, message) => {
  const error = runtimeError(new Error(message), 'The UNet');
  expect(error).toMatchObject({ code, message: expect.stringContaining('UNet') });
});

test('names the operator that a device lacks', () => {
  const text = 'Provider type for NhwcConv node with name "c" is not set.';
  expect(runtimeError(new Error(text), 'The UNet').message).toContain('operator NhwcConv');
});

test('leaves our own errors alone, and takes a RangeError for want of memory', () => {
  const own = new GenerationError('storage-full', 'no room');
  expect(runtimeError(own, 'The UNet')).toBe(own);
  expect(runtimeError(new RangeError('x'), 'The UNet').code).toBe('out-of-memory');
});
