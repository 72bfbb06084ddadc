import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { readSafetensorsSummary } from '../../../bridge/models/safetensors-summary.ts';

const MODELS = fileURLToPath(new URL('../../fixtures/models/', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'easel-summary-'));
afterAll(() => rm(folder, { recursive: true }));

test('metadata as A1111 reads it, and shapes', async () => {
  const lora = await readSafetensorsSummary(join(MODELS, 'loras/sd15-locon.safetensors'));
  expect(lora?.metadata).toMatchObject({
    ss_output_name: 'fixture',
    ss_network_args: { algo: 'locon', conv_dim: '4' },
  });
  const words = await readSafetensorsSummary(join(MODELS, 'embeddings/sdxl-ti.safetensors'));
  expect(words?.shapes.get('clip_g')).toEqual([2, 24]);
});

test.each([
  ['empty', Buffer.alloc(0)],
  ['a header larger than the file', Buffer.from('ff00000000000000', 'hex')],
  ['a header beyond the limit', Buffer.from('ffffffffffffff7f', 'hex')],
  ['no JSON', Buffer.concat([Buffer.from('0300000000000000', 'hex'), Buffer.from('{x}')])],
])('%s tells nothing', async (name, bytes) => {
  const path = join(folder, `${name}.safetensors`);
  await writeFile(path, bytes);
  expect(await readSafetensorsSummary(path)).toBeNull();
});
