import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  type CompiledKeyParts,
  checkpointSha256,
  compiledKey,
} from '../../../web/engine/models/cache-key.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const PARTS: CompiledKeyParts = {
  files: [
    { path: 'unet/model.safetensors', sha256: A },
    { path: 'vae/model.safetensors', sha256: B },
  ],
  precision: 'fp32',
  compilerVersion: 1,
  runtimeVersion: 'onnxruntime-web 1.30.0',
  features: [],
};

describe('the key of a compiled model', () => {
  const changes: Record<string, Partial<CompiledKeyParts>> = {
    'a file of other content': { files: [{ ...PARTS.files[0]!, sha256: B }, PARTS.files[1]!] },
    'a file of another name': { files: [{ ...PARTS.files[0]!, path: 'unet/x' }, PARTS.files[1]!] },
    'a file less': { files: [PARTS.files[0]!] },
    'another precision': { precision: 'fp16' },
    'another compiler': { compilerVersion: 2 },
    'another runtime': { runtimeVersion: 'onnxruntime-web 1.31.0' },
    'another adapter feature': { features: ['shader-f16'] },
  };

  test.each(Object.entries(changes))('changes with %s', async (_, change) => {
    expect(await compiledKey({ ...PARTS, ...change })).not.toBe(await compiledKey(PARTS));
  });

  test('does not care for order', async () => {
    const reversed = { ...PARTS, files: [...PARTS.files].reverse() };
    expect(await compiledKey(reversed)).toBe(await compiledKey(PARTS));
    expect(await compiledKey({ ...PARTS, features: ['a', 'b'] })).toBe(
      await compiledKey({ ...PARTS, features: ['b', 'a'] }),
    );
  });

  test('keeps names and hashes apart', async () => {
    const one = await compiledKey({ ...PARTS, files: [{ path: `x","${A}`, sha256: B }] });
    const other = await compiledKey({ ...PARTS, files: [{ path: 'x', sha256: B }] });
    expect(one).not.toBe(other);
  });
});

describe("a checkpoint's hash", () => {
  test('is the file’s own for a single file', async () => {
    expect(await checkpointSha256([{ path: 'model.safetensors', sha256: A }])).toBe(A);
  });

  test('does not depend on the .yaml beside a single file, which A1111 does not hash', async () => {
    const yaml = { path: 'model.yaml', sha256: B };
    expect(await checkpointSha256([{ path: 'model.safetensors', sha256: A }, yaml])).toBe(A);
  });

  test('is that of the sorted list for a folder', async () => {
    const expected = createHash('sha256')
      .update(`${A}  unet/model.safetensors\n${B}  vae/model.safetensors\n`)
      .digest('hex');
    expect(await checkpointSha256(PARTS.files)).toBe(expected);
    expect(await checkpointSha256([...PARTS.files].reverse())).toBe(expected);
  });
});
