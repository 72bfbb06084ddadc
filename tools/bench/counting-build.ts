import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { ROOT } from '../../test/e2e/support/bridge.ts';

/** What `count-memory.js` counts. */
export interface MemoryCounts {
  readonly largestBuffer: number;
  readonly buffersOverGibibyte: number;
  readonly largestValue: number;
  readonly valuesOver64Mebibytes: number;
  readonly values: number;
  readonly wasmHeap: number;
}

/** Runs in a page or worker of the counting build. */
export function readCounts(): MemoryCounts {
  const { memoryCounts } = globalThis as unknown as { memoryCounts: MemoryCounts };
  return { ...memoryCounts };
}

/**
 * A copy of the build whose engine worker counts from its first line on, with the page of
 * `tools/bench/sessions` under `bench/`; deleted by `remove`.
 */
export async function countingBuild(): Promise<{ root: string; remove: () => void }> {
  const root = mkdtempSync(join(tmpdir(), 'easel-bench-build-'));
  for (const part of ['dist', 'build']) {
    cpSync(join(ROOT, part), join(root, part), { recursive: true });
  }
  const assets = join(root, 'dist/assets');
  cpSync(join(ROOT, 'tools/bench/count-memory.js'), join(assets, 'count-memory.js'));
  for (const name of readdirSync(assets).filter((file) => /^worker-.*\.js$/.test(file))) {
    const script = readFileSync(join(assets, name), 'utf8');
    // Imports run in order: the counters are in place before the runtime's modules are.
    writeFileSync(join(assets, name), `import "./count-memory.js";\n${script}`);
  }
  await build({
    root: join(ROOT, 'tools/bench/sessions'),
    configFile: false,
    publicDir: false,
    logLevel: 'error',
    base: './',
    build: {
      outDir: join(root, 'dist/bench'),
      emptyOutDir: true,
      target: 'es2023',
      assetsInlineLimit: 0,
    },
  });
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}
