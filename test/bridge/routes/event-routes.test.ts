import { describe, expect, it } from 'vitest';
import { eventRoutes } from '../../../bridge/routes/event-routes.ts';
import type { JobEvent } from '../../../protocol/job.ts';
import { fakeServices } from '../a1111/fake-services.ts';

function createEvents(options = {}) {
  const { services } = fakeServices();
  const listeners = new Set<(event: JobEvent) => void>();
  const jobs = {
    ...services.jobs,
    onEvent(listener: (event: JobEvent) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const app = eventRoutes(jobs, options);
  return {
    listeners,
    emit: (event: JobEvent) => {
      for (const listener of listeners) listener(event);
    },
    async open(query = '') {
      const response = await app.request(`/easel/v1/events${query}`);
      expect(response.headers.get('content-type')).toBe('text/event-stream');
      return response.body!.pipeThrough(new TextDecoderStream()).getReader();
    },
  };
}

const progress = (jobId: string, step: number): JobEvent => ({
  type: 'job-progress',
  jobId,
  attempt: 1,
  stage: 'sampling',
  imageIndex: 0,
  imageCount: 1,
  step,
  steps: 20,
  fraction: step / 20,
  etaSeconds: null,
  message: '',
});
const image = (jobId: string): JobEvent => ({
  type: 'job-image',
  jobId,
  attempt: 1,
  index: 0,
  format: 'png',
  data: 'SECRET',
  infotext: 'x',
  prompt: 'x',
  negativePrompt: '',
  seed: 1,
  subseed: 2,
  width: 8,
  height: 8,
});
const failed = (jobId: string): JobEvent => ({
  type: 'job-failed',
  jobId,
  attempt: 1,
  error: { code: 'internal', message: 'x' },
});

describe('/easel/v1/events', () => {
  it('sends what happens to jobs, pictures by their address', async () => {
    const events = createEvents();
    const reader = await events.open();
    expect((await reader.read()).value).toBe(':\n\n');
    events.emit(progress('a', 3));
    const { value } = await reader.read();
    expect(value).toMatch(/^event: job-progress\ndata: \{.*"step":3.*\}\n\n$/);
    events.emit(image('a'));
    const picture = (await reader.read()).value ?? '';
    expect(picture).toContain('"/easel/v1/jobs/a/images/0"');
    expect(picture).not.toContain('SECRET');
    await reader.cancel();
    expect(events.listeners.size).toBe(0);
  });

  it('follows one job until it ends', async () => {
    const events = createEvents();
    const reader = await events.open('?job=a');
    await reader.read();
    events.emit(progress('b', 1));
    events.emit(progress('a', 2));
    expect((await reader.read()).value).toContain('"jobId":"a"');
    events.emit(failed('a'));
    expect((await reader.read()).value).toContain('job-failed');
    expect((await reader.read()).done).toBe(true);
    expect(events.listeners.size).toBe(0);
  });

  it('says something now and then', async () => {
    const events = createEvents({ heartbeatMs: 10 });
    const reader = await events.open();
    for (let i = 0; i < 3; i++) expect((await reader.read()).value).toBe(':\n\n');
    await reader.cancel();
  });

  it('drops previews for a reader that is behind, results never', async () => {
    const events = createEvents();
    const reader = await events.open();
    const preview = (data: string): JobEvent => ({
      type: 'job-preview',
      jobId: 'a',
      attempt: 1,
      data,
    });
    for (let i = 0; i < 50; i++) events.emit(preview('A'.repeat(100_000)));
    events.emit(failed('a'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    let text = '';
    while (!text.includes('job-failed')) text += (await reader.read()).value;
    expect(text.length).toBeLessThan(2_000_000);
    await reader.cancel();
  });
});
