import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { FAKE_CATALOG, fakeStatus, fakeSummary } from '../../fakes/tab-frames.ts';
import { tinyPng } from '../../fakes/tiny-png.ts';
import { ROOT } from './bridge.ts';

/**
 * A root folder for `startBridge` whose page is a stub engine: a worker with the product's relay client
 * and a denoiser that waits. What a browser does to tabs is seen without a model or a GPU.
 */
export async function stubRoot(stepMs: number): Promise<{ root: string; remove: () => void }> {
  const root = mkdtempSync(join(tmpdir(), 'easel-stub-'));
  cpSync(join(ROOT, 'build'), join(root, 'build'), { recursive: true });
  const dist = join(root, 'dist');
  mkdirSync(join(dist, 'assets'), { recursive: true });
  mkdirSync(join(dist, 'models'));
  await build({
    ...{ root: ROOT, configFile: false, publicDir: false, logLevel: 'error' },
    build: {
      lib: {
        entry: fileURLToPath(new URL('./stub-worker.ts', import.meta.url)),
        formats: ['es'],
        fileName: () => 'stub-worker.js',
      },
      outDir: join(dist, 'assets'),
      emptyOutDir: false,
    },
  });
  const start = {
    ...{ status: fakeStatus(), catalog: FAKE_CATALOG, summary: fakeSummary(), stepMs },
    picture: [...tinyPng({ infotext: 'a stub' })],
  };
  writeFileSync(
    join(dist, 'assets', 'page.js'),
    `const worker = new Worker('/assets/stub-worker.js', { type: 'module' });\nworker.postMessage(${JSON.stringify(start)});\n`,
  );
  writeFileSync(
    join(dist, 'index.html'),
    '<!doctype html><title>Stub</title><script type="module" src="/assets/page.js"></script>',
  );
  writeFileSync(join(dist, 'models', 'index.json'), '{"models":[]}');
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}
