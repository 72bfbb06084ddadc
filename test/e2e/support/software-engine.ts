import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT, type RunningBridge, startBridge } from './bridge.ts';
import { RawBrowser, type RawPage, SOFTWARE_WEBGPU } from './raw-browser.ts';

/** A bridge with a real engine on Dawn's software adapter, in a browser that a test may be rough with. */
export interface SoftwareEngine {
  readonly bridge: RunningBridge;
  readonly browser: RawBrowser;
  /** The page's workers, in the order of their start. */
  readonly workers: readonly RawPage[];
  /** Asks for the smallest picture that the checkpoint can make: a step takes seconds in software. */
  draw(steps: number, headers?: Record<string, string>): Promise<Response>;
  stop(): Promise<void>;
}

/** `prepare` is run in every worker before its first line; `env` is the bridge's. */
export async function startSoftwareEngine({
  prepare = '',
  env = {},
}: {
  prepare?: string;
  env?: Readonly<Record<string, string>>;
} = {}): Promise<SoftwareEngine> {
  const models = mkdtempSync(join(tmpdir(), 'easel-models-'));
  const checkpoint = join(models, 'Stable-diffusion', 'sd15-tiny');
  cpSync(join(ROOT, 'test/fixtures/models/sd15-tiny'), checkpoint, { recursive: true });
  const args = ['--browser', 'none', '--models-dir', models, '--ckpt', 'sd15-tiny'];
  const bridge = await startBridge(args, { env });
  const browser = await RawBrowser.launch(SOFTWARE_WEBGPU);
  const stop = async () => {
    await browser.stop();
    await bridge.stop();
    rmSync(models, { recursive: true, force: true });
  };
  try {
    const address = `${bridge.url}/?device=webgpu&precision=fp32`;
    const { workers } = await browser.openWithWorkers(address, prepare);
    await bridge.ready();
    const draw = (steps: number, headers: Record<string, string> = {}) => {
      const body = { prompt: 'an apple', seed: 7, steps, width: 64, height: 64 };
      return bridge.post('/sdapi/v1/txt2img', body, headers);
    };
    return { bridge, browser, workers, draw, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
