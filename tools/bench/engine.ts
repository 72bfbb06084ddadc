import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright';
import type { GenerationSummary } from '../../protocol/job.ts';
import { ROOT, type RunningBridge, startBridge } from '../../test/e2e/support/bridge.ts';
import { launchProfile } from '../../test/e2e/support/browser.ts';

/** A running bridge with one tab attached to it. */
export interface BenchEngine {
  readonly bridge: RunningBridge;
  readonly context: BrowserContext;
  page: Page;
  /** One txt2img over HTTP: its reply's seconds and the engine's own account of the job. */
  generate(body: Record<string, unknown>): Promise<{ seconds: number; summary: GenerationSummary }>;
  close(): Promise<void>;
}

export interface BenchEngineOptions {
  readonly device: 'wasm' | 'webgpu';
  readonly precision?: string;
  readonly bridgeArgs?: readonly string[];
  /** Waits for a loaded checkpoint; without it the page is merely opened. */
  readonly isLoaded?: boolean;
  /** Folder of the build to run; the repository's without it. */
  readonly root?: string;
}

/** A models folder of its own that holds the checkpoint `sd15-tiny`; the caller deletes it. */
export function tinyModelsFolder(): string {
  const models = mkdtempSync(join(tmpdir(), 'easel-bench-'));
  cpSync(
    join(ROOT, 'test/fixtures/models/sd15-tiny'),
    join(models, 'Stable-diffusion', 'sd15-tiny'),
    { recursive: true },
  );
  return models;
}

export async function openBenchEngine({
  device,
  precision = 'auto',
  bridgeArgs = [],
  isLoaded = true,
  root = ROOT,
}: BenchEngineOptions): Promise<BenchEngine> {
  const bridge = await startBridge(['--browser', 'none', ...bridgeArgs], { root });
  const profile = mkdtempSync(join(tmpdir(), 'easel-bench-profile-'));
  const context = await launchProfile(profile, { webgpu: device === 'webgpu' });
  const page = await context.newPage();
  await page.goto(`${bridge.url}/?device=${device}&precision=${precision}`);
  if (isLoaded) await bridge.ready();
  return {
    bridge,
    context,
    page,
    async generate(body) {
      const startedAt = performance.now();
      const response = await bridge.post('/sdapi/v1/txt2img', body);
      const text = await response.text();
      const seconds = (performance.now() - startedAt) / 1000;
      if (!response.ok) throw new Error(`txt2img answered ${response.status}: ${text}`);
      const last = await bridge.get<{ summary: GenerationSummary }>('/easel/v1/jobs/last');
      return { seconds, summary: last.summary };
    },
    async close() {
      await context.close();
      await bridge.stop();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
