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

  test.each(Object.entries(changes))('changes with %s', (_, change) => {
    expect(compiledKey({ ...PARTS, ...change })).not.toBe(compiledKey(PARTS));
  });

  test('does not care for order', () => {
    const reversed = { ...PARTS, files: [...PARTS.files].reverse() };
    expect(compiledKey(reversed)).toBe(compiledKey(PARTS));
    expect(compiledKey({ ...PARTS, features: ['a', 'b'] })).toBe(
      compiledKey({ ...PARTS, features: ['b', 'a'] }),
    );
  });

  test('keeps names and hashes apart', () => {
    const one = compiledKey({ ...PARTS, files: [{ path: `x","${A}`, sha256: B }] });
    const other = compiledKey({ ...PARTS, files: [{ path: 'x', sha256: B }] });
    expect(one).not.toBe(other);
  });
});

describe("a checkpoint's hash", () => {
  test('is the file’s own for a single file', () => {
    expect(checkpointSha256([{ path: 'model.safetensors', sha256: A }])).toBe(A);
  });

  test('does not depend on the .yaml beside a single file, which A1111 does not hash', () => {
    const yaml = { path: 'model.yaml', sha256: B };
    expect(checkpointSha256([{ path: 'model.safetensors', sha256: A }, yaml])).toBe(A);
  });

  test('is that of the sorted list for a folder', () => {
    const expected = createHash('sha256')
      .update(`${A}  unet/model.safetensors\n${B}  vae/model.safetensors\n`)
      .digest('hex');
    expect(checkpointSha256(PARTS.files)).toBe(expected);
    expect(checkpointSha256([...PARTS.files].reverse())).toBe(expected);
  });
});
