import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { ROOT } from '../../test/e2e/support/bridge.ts';
import { type BenchEngine, openBenchEngine } from './engine.ts';
import { atLeast, type BenchRow, figure } from './row.ts';
import { writeScaledCheckpoint } from './scaled-checkpoint.ts';

const MANIFEST = join(ROOT, 'test/fixtures/models/full-keys/sd15.diffusers.json.gz');
/** SD 1.5 with half of its UNet's width: 0.8 GB of halves in all. */
const UNET_SCALE = 0.5;
const MEBIBYTE = 2 ** 20;
const NAME = 'scaled';
/** Halves go through as they are, but for what is transposed and the VAE; codes have to be computed. */
const PRECISIONS = ['fp16', 'q8'] as const;

interface FileAt {
  readonly url: string;
  readonly sizeBytes: number;
}

/** Reads files as the compiler does, in ranges of 8 MiB, and puts them into IndexedDB in Blobs of 64 MiB. */
async function streamPlainly(page: Page, files: readonly FileAt[], database: string) {
  return page.evaluate(
    async ({ files, database }) => {
      const [piece, chunk] = [8 * 2 ** 20, 64 * 2 ** 20];
      const opened = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(database, 1);
        request.onupgradeneeded = () => request.result.createObjectStore('entries');
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      const put = (key: string, value: Blob) =>
        new Promise<void>((resolve, reject) => {
          const transaction = opened.transaction('entries', 'readwrite', { durability: 'relaxed' });
          transaction.objectStore('entries').put(value, key);
          transaction.oncomplete = () => resolve();
          transaction.onerror = () => reject(transaction.error);
        });
      const startedAt = performance.now();
      let pending: Uint8Array<ArrayBuffer>[] = [];
      let pendingBytes = 0;
      let chunks = 0;
      const flush = async () => {
        await put(String(chunks++), new Blob(pending));
        pending = [];
        pendingBytes = 0;
      };
      for (const { url, sizeBytes } of files) {
        for (let at = 0; at < sizeBytes; at += piece) {
          const range = `bytes=${at}-${Math.min(at + piece, sizeBytes) - 1}`;
          const bytes = new Uint8Array(
            await (await fetch(url, { headers: { range } })).arrayBuffer(),
          );
          pending.push(bytes);
          pendingBytes += bytes.length;
          if (pendingBytes >= chunk) await flush();
        }
      }
      if (pendingBytes > 0) await flush();
      const seconds = (performance.now() - startedAt) / 1000;
      opened.close();
      indexedDB.deleteDatabase(database);
      return seconds;
    },
    { files, database },
  );
}

/** Seconds for which the engine says that it compiles, once the checkpoint is selected. */
async function compileSeconds({ bridge }: BenchEngine, name: string): Promise<number> {
  void bridge.post('/sdapi/v1/options', { sd_model_checkpoint: name }).catch(() => {});
  let begunAt = 0;
  const end = performance.now() + 240_000;
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { activity } = await bridge.get<{ activity: { kind: string } | null }>('/health');
    if (activity?.kind === 'compile') begunAt ||= performance.now();
    else if (begunAt) return (performance.now() - begunAt) / 1000;
  }
  throw new Error('the compile did not end');
}

/**
 * Compiling against plainly streaming the same files from the same bridge into IndexedDB, in one tab in
 * turns: streaming is measured before and after each compile.
 */
export async function benchThroughput(): Promise<BenchRow[]> {
  const models = mkdtempSync(join(tmpdir(), 'easel-bench-'));
  const folder = join(models, 'Stable-diffusion', NAME);
  const sizes = await writeScaledCheckpoint(folder, MANIFEST, UNET_SCALE);
  const mebibytes = Object.values(sizes).reduce((a, b) => a + b, 0) / MEBIBYTE;
  const rows: BenchRow[] = [];
  try {
    for (const precision of PRECISIONS) {
      const engine = await openBenchEngine({
        ...{ device: 'wasm', precision },
        bridgeArgs: ['--models-dir', models, '--ckpt', 'easel-tiny'],
      });
      try {
        const { models: listed } = await engine.bridge.get<{
          models: { name: string; url: string; files: { path: string; sizeBytes: number }[] }[];
        }>('/easel/v1/models');
        const listing = listed.find(({ name }) => name === NAME);
        const files = (listing?.files ?? [])
          .filter(({ path }) => path.endsWith('.safetensors'))
          .map(({ path, sizeBytes }) => ({
            url: new URL(path, new URL(listing?.url ?? '', `${engine.bridge.url}/`)).href,
            sizeBytes,
          }));
        const before = await streamPlainly(engine.page, files, 'plain-1');
        const compiled = await compileSeconds(engine, NAME);
        const after = await streamPlainly(engine.page, files, 'plain-2');
        const plain = (before + after) / 2;
        const note = `SD 1.5 with half of its UNet’s width, ${Math.round(mebibytes)} MiB, read from the bridge: ${(mebibytes / compiled).toFixed(0)} against ${(mebibytes / plain).toFixed(0)} MiB/s`;
        rows.push(
          atLeast(
            'throughput',
            `compiling to ${precision} ÷ streaming`,
            plain / compiled,
            '',
            0.5,
            note,
          ),
          figure('throughput', `streaming before, after`, before / after, '', 'their quotient'),
        );
      } finally {
        await engine.close();
      }
    }
  } finally {
    rmSync(models, { recursive: true, force: true });
  }
  return rows;
}
