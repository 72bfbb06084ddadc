import { randomBytes } from 'node:crypto';
import { WebSocket } from 'ws';
import { PROTOCOL_VERSION } from '../../protocol/relay.ts';
import { startBridge } from '../../test/e2e/support/bridge.ts';
import { atMost, type BenchRow, figure, percentile } from './row.ts';

const PICTURE_BYTES = 450 * 1024;
const JOBS = 60;

const STATUS = {
  state: 'idle',
  device: null,
  checkpoint: 'bench',
  precision: 'fp32',
  activity: null,
  message: null,
};
const CATALOG = {
  checkpoints: [
    { name: 'bench', source: 'browser', filename: 'bench', sha256: null, sizeBytes: null },
  ],
};

/** A PNG's signature and header, then noise: what the bridge relays it does not decode. */
function pictureBase64(): string {
  const bytes = Buffer.concat([
    Buffer.from('89504e470d0a1a0a0000000d4948445200000200000002000802000000', 'hex'),
    randomBytes(PICTURE_BYTES),
  ]);
  return bytes.toString('base64');
}

/** What the bridge adds: the reply's arrival minus the moment the engine had the picture ready. */
export async function benchRelay(): Promise<BenchRow[]> {
  const bridge = await startBridge(['--browser', 'none', '--save-images', 'requested']);
  try {
    const token = await bridge.get<{ token: string }>('/easel/v1/engine-token');
    const socket = new WebSocket(
      `ws://localhost:${bridge.port}/easel/v1/relay?token=${encodeURIComponent(token.token)}`,
      { origin: bridge.url },
    );
    const data = pictureBase64();
    let finishedAt = 0;
    const say = (message: unknown) => socket.send(JSON.stringify(message));
    socket.on('message', (text) => {
      const message = JSON.parse(String(text));
      if (message.type !== 'job') return;
      const { jobId, attempt, params } = message;
      const id = { jobId, attempt };
      finishedAt = performance.now();
      say({
        type: 'job-image',
        ...id,
        index: 0,
        format: 'png',
        data,
        infotext: 'x',
        prompt: params.prompt,
        negativePrompt: '',
        seed: params.seed,
        subseed: 0,
        width: 512,
        height: 512,
      });
      const summary = {
        interrupted: false,
        width: 512,
        height: 512,
        checkpoint: 'bench',
        checkpointHash: null,
        clipSkip: 1,
        extraParams: {},
        notes: [],
        timings: {
          totalSeconds: 0,
          loadSeconds: 0,
          encodeSeconds: 0,
          sampleSeconds: 0,
          decodeSeconds: 0,
          runSeconds: 0,
        },
      };
      say({ type: 'job-finished', ...id, summary });
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    say({
      type: 'hello',
      protocolVersion: PROTOCOL_VERSION,
      appVersion: 'bench',
      engineName: 'bench',
      status: STATUS,
      catalog: CATALOG,
      job: null,
    });
    const beats = setInterval(
      () => say({ type: 'heartbeat', monotonicMs: performance.now(), job: null }),
      2000,
    );
    await bridge.ready();
    const added: number[] = [];
    for (let i = 0; i < JOBS + 10; i++) {
      const startedAt = performance.now();
      const response = await bridge.post('/sdapi/v1/txt2img', { prompt: 'x', seed: i });
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`txt2img answered ${response.status}`);
      // Before the engine: from the request to the job. After it: from the picture to the reply.
      if (i >= 10) added.push(performance.now() - startedAt);
    }
    clearInterval(beats);
    socket.close();
    if (finishedAt === 0) throw new Error('no job reached the engine');
    return [
      atMost(
        'relay',
        'p95 of what the bridge adds to a 450 KiB picture',
        percentile(added, 0.95),
        'ms',
        25,
        `${JOBS} jobs of an engine that answers at once: the whole round trip is the bridge’s`,
      ),
      figure('relay', 'the median of them', percentile(added, 0.5), 'ms', 'the same jobs'),
    ];
  } finally {
    await bridge.stop();
  }
}
