import { expect, it } from 'vitest';
import { showStatus } from '../../bridge/terminal/show-status.ts';
import { StatusLine } from '../../bridge/terminal/status-line.ts';
import type { EngineActivity } from '../../protocol/device.ts';
import { FakeTab } from '../fakes/fake-tab.ts';
import { fakeStatus, finishedFrame, imagesOf, progressFrame } from '../fakes/tab-frames.ts';
import { startTestBridge } from './support.ts';

it('a request that waits for its checkpoint to be compiled shows that everywhere', async () => {
  const bridge = await startTestBridge();
  const tab = await FakeTab.attach(bridge.url, { answers: false });
  const written: string[] = [];
  const line = new StatusLine({ isTTY: true, columns: 200, write: (text) => written.push(text) });
  const end = showStatus(bridge, line);
  try {
    const pending = bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 2 });
    await tab.until(() => tab.jobs.length === 1);
    const { jobId, attempt, params } = tab.jobs[0]!;
    const lease = { jobId, attempt };
    const activity: EngineActivity = {
      kind: 'compile',
      what: 'unet of big',
      done: 0.421,
      etaSeconds: 75,
    };
    tab.send({ type: 'status', status: fakeStatus({ state: 'compiling', activity }) });
    tab.send(
      progressFrame(lease, {
        ...{ stage: 'compiling', step: 0, steps: 0, fraction: 0, etaSeconds: 75 },
        message: 'Compiling unet of big, 42 %',
      }),
    );
    const get = async (path: string) => (await fetch(bridge.url + path)).json();
    await expect.poll(async () => (await get('/sdapi/v1/progress')).state.job).toContain('unet');
    expect(await get('/sdapi/v1/progress')).toMatchObject({
      eta_relative: 75,
      textinfo: 'Compiling unet of big, 42 %, 75 s left',
      state: { job: 'Compiling unet of big', job_count: 1 },
    });
    expect(await get('/health')).toMatchObject({
      ...{ status: 'ready', activity, message: 'Compiling unet of big, 42 %, 75 s left.' },
      engines: [{ state: 'compiling' }],
    });
    expect(written.join('')).toContain(
      '[########------------] Compiling unet of big, 42 %, 75 s left',
    );

    tab.send({ type: 'status', status: fakeStatus({ state: 'busy' }) });
    tab.send(progressFrame(lease, { stage: 'sampling', step: 1, steps: 2, fraction: 0.5 }));
    await expect
      .poll(async () => (await get('/sdapi/v1/progress')).state.job)
      .toBe('scripts_txt2img');
    expect(written.join('')).toContain('[##########----------] step 1 of 2');
    for (const image of imagesOf(params, lease)) tab.send(image);
    tab.finish(finishedFrame(lease, { width: params.width, height: params.height }));
    expect((await pending).status).toBe(200);
  } finally {
    end();
    await tab.close();
    await bridge.dispose();
  }
});
