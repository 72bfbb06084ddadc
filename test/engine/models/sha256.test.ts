import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createSha256, sha256Text } from '../../../web/engine/models/sha256.ts';

describe('SHA-256', () => {
  test.each([
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
  ])('gives the digest of the standard for %j', async (text, digest) => {
    expect(await sha256Text(text)).toBe(digest);
  });

  test('does not care how the input is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }),
        async (pieces) => {
          const hash = await createSha256();
          const reference = createHash('sha256');
          for (const piece of pieces) {
            hash.update(piece);
            reference.update(piece);
          }
          expect(hash.digest()).toBe(reference.digest('hex'));
        },
      ),
    );
  });

  test('reads a part of a larger buffer', async () => {
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i & 0xff);
    const hash = await createSha256();
    hash.update(bytes.subarray(3, 203));
    const expected = createHash('sha256').update(bytes.subarray(3, 203)).digest('hex');
    expect(hash.digest()).toBe(expected);
  });

  test('counts bits beyond 32 of them', async () => {
    const block = new Uint8Array(2 ** 20);
    const hash = await createSha256();
    const reference = createHash('sha256');
    for (let i = 0; i < 520; i++) {
      hash.update(block);
      reference.update(block);
    }
    expect(hash.digest()).toBe(reference.digest('hex'));
  });
});
