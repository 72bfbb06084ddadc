import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readImage } from '../../bridge/a1111/image-input.ts';
import { readPngInfo } from '../../bridge/a1111/png-info.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { openLora } from '../../web/compiler/lora/lora-file.ts';
import type { ByteSource, ModelFiles } from '../../web/compiler/model.ts';
import { readOnnxFile } from '../../web/compiler/onnx-folder/read-graph.ts';
import { readSafetensorsHeader } from '../../web/compiler/safetensors.ts';
import { makePng, pngChunk } from '../bridge/a1111/fake-services.ts';
import { editedSingleFileBytes } from '../compiler/lib/single-file.ts';
import { amount, measured, percentile, randomOf, SEED } from './figures.ts';
import { mutate } from './mutate.ts';

const FIXTURES = new URL('../fixtures', import.meta.url).pathname;

function sourceOf(bytes: Uint8Array, path: string): ByteSource {
  return {
    path,
    sizeBytes: bytes.length,
    read: async (offset, length) => Uint8Array.from(bytes.subarray(offset, offset + length)),
  };
}

const filesOf = (bytes: Uint8Array, path: string): ModelFiles => ({
  name: path,
  files: [sourceOf(bytes, path)],
});

interface Kind {
  readonly name: string;
  readonly whole: readonly Buffer[];
  readonly open: (bytes: Buffer) => unknown;
  /** Bytes from the start in which changes fall: headers, where readers decide. */
  readonly head?: number;
}

/** As `mutate`, within the first bytes alone; the rest stays and keeps its length. */
function mutateHead(bytes: Buffer, random: () => number, head = bytes.length): Buffer {
  if (head >= bytes.length) return mutate(bytes, random);
  return Buffer.concat([mutate(bytes.subarray(0, head), random), bytes.subarray(head)]);
}

function isForeseen(error: unknown): boolean {
  return (
    error instanceof GenerationError ||
    // The API's own refusals.
    (error instanceof Error && 'status' in error)
  );
}

describe('hostile files', () => {
  const count = amount('FUZZ_FILES', 800, 5_000);

  it(`S14 end in a sentence: ${count} mutated safetensors, LoRA, ONNX and PNG files`, {
    timeout: 60_000 + count * 60,
  }, async () => {
    const random = randomOf(SEED + 2);
    const loras = readdirSync(join(FIXTURES, 'models/loras')).map((name) =>
      readFileSync(join(FIXTURES, 'models/loras', name)),
    );
    const onnx = ['text_encoder', 'unet'].map((part) =>
      gunzipSync(readFileSync(join(FIXTURES, 'onnx/sd15-tiny', part, 'model.onnx.gz'))),
    );
    const single = Buffer.from(await editedSingleFileBytes('sd15-tiny', {}));
    const infotext = Buffer.from('parameters\0a cat\nSteps: 20, Seed: 1');
    const pngs = [
      makePng(16, 16, [pngChunk('tEXt', infotext)]),
      makePng(8, 8, [pngChunk('iTXt', Buffer.from('parameters\0\0\0\0\0a cat'))]),
    ];
    const kinds: Kind[] = [
      {
        name: 'safetensors',
        whole: [single],
        head: 20_000,
        open: (bytes) => readSafetensorsHeader(sourceOf(bytes, 'x.safetensors')),
      },
      {
        name: 'checkpoint',
        whole: [single],
        head: 20_000,
        open: (bytes) => openCheckpoint(filesOf(bytes, 'x.safetensors')),
      },
      {
        name: 'lora',
        whole: loras,
        head: 4_000,
        open: (bytes) => openLora(filesOf(bytes, 'x.safetensors')),
      },
      {
        name: 'onnx',
        whole: onnx,
        head: 60_000,
        open: (bytes) => readOnnxFile(sourceOf(bytes, 'unet/model.onnx')),
      },
      { name: 'png', whole: pngs, open: (bytes) => readImage(bytes.toString('base64')) },
      { name: 'png text', whole: pngs, open: (bytes) => readPngInfo(bytes.toString('base64')) },
    ];
    let rejections = 0;
    const onRejection = () => {
      rejections += 1;
    };
    process.on('unhandledRejection', onRejection);
    const before = process.memoryUsage().rss;
    const refused = new Map<string, number>();
    const times: number[] = [];
    try {
      for (let made = 0; made < count; made += 1) {
        const kind = kinds[made % kinds.length];
        if (!kind) continue;
        const whole = kind.whole[Math.floor(random() * kind.whole.length)] ?? Buffer.alloc(0);
        const bytes = mutateHead(whole, random, kind.head);
        const start = performance.now();
        try {
          await kind.open(bytes);
        } catch (error) {
          if (!isForeseen(error)) throw new Error(`${kind.name} no. ${made}`, { cause: error });
          refused.set(kind.name, (refused.get(kind.name) ?? 0) + 1);
        }
        times.push(performance.now() - start);
      }
    } finally {
      process.off('unhandledRejection', onRejection);
    }
    expect(rejections).toBe(0);
    expect(Math.max(...times)).toBeLessThan(5_000);
    for (const { name } of kinds) expect(refused.get(name) ?? 0, name).toBeGreaterThan(0);
    measured('S14', {
      ...{ files: count, seed: SEED + 2, unforeseen: 0, unhandled: rejections },
      ...{ grownMiB: Math.round((process.memoryUsage().rss - before) / 2 ** 20) },
      ...{ p50Ms: percentile(times, 0.5), maxMs: percentile(times, 1) },
      refused: [...refused].map(([name, times_]) => `${name}: ${times_}`).join(', '),
    });
  });
});
