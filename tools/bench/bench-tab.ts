import { WebSocket } from 'ws';
import type { GenerationParams } from '../../protocol/generation.ts';
import { PROTOCOL_VERSION } from '../../protocol/relay.ts';
import type { RunningBridge } from '../../test/e2e/support/bridge.ts';

const STATUS = {
  ...{ state: 'idle', device: null, checkpoint: 'bench', precision: 'fp32' },
  ...{ activity: null, message: null },
};
const CATALOG = {
  checkpoints: [
    { name: 'bench', source: 'browser', filename: 'bench', sha256: null, sizeBytes: null },
  ],
};
const TIMINGS = {
  ...{ totalSeconds: 0, loadSeconds: 0, encodeSeconds: 0 },
  ...{ sampleSeconds: 0, decodeSeconds: 0, runSeconds: 0 },
};

/** A job as it reached the tab, and what the tab can say of it. */
export interface BenchJob {
  readonly params: GenerationParams;
  progress(step: number): void;
  preview(data: string): void;
  /** Sends the picture and ends the job. */
  finish(data: string): void;
}

/** A tab without an engine: what it makes of a job is the bench's business. */
export interface BenchTab {
  onJob: (job: BenchJob) => void;
  close(): void;
}

/** Attaches a tab to a bridge through the real relay. */
export async function attachBenchTab(bridge: RunningBridge): Promise<BenchTab> {
  const { token } = await bridge.get<{ token: string }>('/easel/v1/engine-token');
  const socket = new WebSocket(
    `ws://localhost:${bridge.port}/easel/v1/relay?token=${encodeURIComponent(token)}`,
    { origin: bridge.url },
  );
  const say = (message: unknown) => socket.send(JSON.stringify(message));
  const tab: BenchTab = {
    onJob: () => {},
    close() {
      clearInterval(beats);
      socket.close();
    },
  };
  socket.on('message', (text) => {
    const message = JSON.parse(String(text));
    if (message.type !== 'job') return;
    const { params, jobId, attempt } = message as {
      params: GenerationParams;
      jobId: string;
      attempt: number;
    };
    const id = { jobId, attempt };
    const { width, height, prompt, steps } = params;
    tab.onJob({
      params,
      progress: (step) =>
        say({
          ...{ type: 'job-progress', ...id, stage: 'sampling', imageIndex: 0, imageCount: 1 },
          ...{ step, steps, fraction: step / steps, etaSeconds: null, message: 'Sampling' },
        }),
      preview: (data) => say({ type: 'job-preview', ...id, data }),
      finish(data) {
        say({
          ...{ type: 'job-image', ...id, index: 0, format: 'png', data, infotext: 'x', prompt },
          ...{ negativePrompt: '', seed: params.seed, subseed: 0, width, height },
        });
        const summary = {
          ...{ interrupted: false, width, height, checkpoint: 'bench', checkpointHash: null },
          ...{ clipSkip: 1, extraParams: {}, notes: [], timings: TIMINGS },
        };
        say({ type: 'job-finished', ...id, summary });
      },
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const hello = { protocolVersion: PROTOCOL_VERSION, appVersion: 'bench', engineName: 'bench' };
  say({ type: 'hello', ...hello, status: STATUS, catalog: CATALOG, job: null });
  const beats = setInterval(
    () => say({ type: 'heartbeat', monotonicMs: performance.now(), job: null }),
    2000,
  );
  await bridge.ready();
  return tab;
}

/** A PNG's signature and header, then `bytes` of noise, as base64: what the bridge relays it does not decode. */
export function noisePicture(noise: Buffer): string {
  const head = '89504e470d0a1a0a0000000d4948445200000200000002000802000000';
  return Buffer.concat([Buffer.from(head, 'hex'), noise]).toString('base64');
}
