import { describe, expect, it } from 'vitest';
import type { ProgressResponse } from '../../../bridge/a1111/replies.ts';
import { createServer, type ImagesReply, until } from './helpers.ts';

function createManual() {
  const server = createServer({ isManual: true });
  return {
    ...server,
    progress: (query = '') => server.get<ProgressResponse>(`/sdapi/v1/progress${query}`),
    async start(body: object) {
      const pending = server.post('/sdapi/v1/txt2img', body);
      await until(() => server.services.jobs.view().running === 1);
      return pending;
    },
    begin(body: object) {
      return server.post('/sdapi/v1/txt2img', body);
    },
  };
}

describe('progress', () => {
  it('[M12, G9] is exact zeros when idle, with every key', async () => {
    const server = createManual();
    expect(await server.progress()).toEqual({
      progress: 0,
      eta_relative: 0,
      state: {
        skipped: false,
        interrupted: false,
        stopping_generation: false,
        job: '',
        job_count: 0,
        job_timestamp: '0',
        job_no: 0,
        sampling_step: 0,
        sampling_steps: 0,
      },
      current_image: null,
      textinfo: null,
    });
  });

  it('[S5] follows A1111’s formula, with preview and time left', async () => {
    const server = createManual();
    const pending = server.begin({ steps: 20, n_iter: 2, batch_size: 2 });
    await until(() => server.services.jobs.view().running === 1);
    const before = await server.progress();
    expect(before.progress).toBe(0.01);
    expect(before.state).toMatchObject({ job: 'Batch 1 out of 2', job_count: 2, job_no: 0 });
    expect(before).toHaveProperty('current_image', null);

    server.step(10, 0);
    server.preview('AAAA');
    const first = await server.progress();
    expect(first.progress).toBeCloseTo(0.01 + 0.25, 6);
    expect(first.state).toMatchObject({ sampling_step: 10, sampling_steps: 20 });
    expect(first.current_image).toBe('AAAA');
    expect(first.eta_relative).toBeGreaterThanOrEqual(0);
    expect((await server.progress('?skip_current_image=true')).current_image).toBeNull();

    server.step(15, 2, { etaSeconds: 4 });
    const second = await server.progress();
    expect(second.progress).toBeCloseTo(0.01 + 0.5 + 0.375, 6);
    expect(second.eta_relative).toBe(4);
    expect(second.state).toMatchObject({ job: 'Batch 2 out of 2', job_no: 1 });

    server.finish();
    await pending;
    const after = await server.progress();
    expect(after).toMatchObject({
      progress: 0,
      eta_relative: 0,
      current_image: null,
      state: { job: '', job_count: 0, sampling_step: 15, sampling_steps: 20 },
    });
  });

  it('counts a second pass as a batch of its own and never goes back', async () => {
    const server = createManual();
    const pending = server.begin({ steps: 20, enable_hr: true, n_iter: 2 });
    await until(() => server.services.jobs.view().running === 1);
    const seen: [number, number, number][] = [];
    for (const [step, imageIndex, fraction] of [
      [10, 0, 0.1],
      [19, 0, 0.24],
      [1, 0, 0.3],
      [5, 1, 0.6],
      [20, 1, 0.99],
    ] as const) {
      server.step(step, imageIndex, { fraction });
      const { progress, state } = await server.progress();
      seen.push([progress, state.job_no, state.job_count]);
    }
    expect(seen.map(([, ...rest]) => rest)).toEqual([
      [0, 4],
      [0, 4],
      [1, 4],
      [2, 4],
      [3, 4],
    ]);
    const shares = seen.map(([progress]) => progress);
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    server.finish();
    await pending;
  });

  it('names a single job by its kind, and says what goes on before sampling', async () => {
    const server = createManual();
    const pending = server.begin({ steps: 20 });
    await until(() => server.services.jobs.view().running === 1);
    const compiling = { stage: 'compiling', message: 'Compiling unet of two, 42 %' } as const;
    server.step(0, 0, { ...compiling, etaSeconds: 12 });
    const progress = await server.progress();
    expect(progress.state).toMatchObject({ job: 'Compiling unet of two', job_count: 1 });
    expect(progress).toMatchObject({ progress: 0.01, eta_relative: 12 });
    expect(progress.textinfo).toBe('Compiling unet of two, 42 %, 12 s left');
    server.step(3, 0);
    expect((await server.progress()).state.job).toBe('scripts_txt2img');
    server.finish();
    await pending;
  });

  it('tells what a tab loads while no job runs', async () => {
    const server = createManual();
    server.status.activity = { kind: 'load', what: 'two', done: 0.5, etaSeconds: null };
    expect(await server.progress()).toMatchObject({ progress: 0, textinfo: 'Loading two, 50 %' });
  });
});

describe('[S1] interrupt', () => {
  it('ends the waiting request with 200 and what exists', async () => {
    const server = createManual();
    const pending = server.begin({ n_iter: 3 });
    await until(() => server.services.jobs.view().running === 1);
    server.image();
    const interrupt = await server.app.request('/sdapi/v1/interrupt', { method: 'POST' });
    expect(await interrupt.json()).toEqual({});
    const response = await pending;
    expect(response.status).toBe(200);
    const reply = (await response.json()) as ImagesReply;
    expect(reply.images).toHaveLength(1);
    expect(JSON.parse(reply.info).infotexts).toHaveLength(1);
    expect((await server.progress()).state.interrupted).toBe(true);
  });

  it('[C15] of a client that went away leaves the next client’s job alone', async () => {
    const server = createManual();
    const client = new AbortController();
    const first = server.app.request('/sdapi/v1/txt2img', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
      signal: client.signal,
    });
    await until(() => server.services.jobs.view().running === 1);
    const second = server.begin({ prompt: 'second' });
    await until(() => server.services.jobs.view().waiting === 1);
    client.abort();
    await server.app.request('/sdapi/v1/interrupt', { method: 'POST' });
    expect((await first).status).toBe(200);
    expect(server.services.jobs.view().current?.params.prompt).toBe('second');
    server.finish();
    expect(((await (await second).json()) as ImagesReply).images).toHaveLength(1);
  });
});

describe('[M10, M11, Q3, Q4] calls without a body', () => {
  const routes = ['interrupt', 'skip', 'unload-checkpoint', 'reload-checkpoint'];
  it.each([...routes, 'refresh-checkpoints', 'refresh-vae', 'refresh-loras'])(
    '%s takes none, an empty one, `""` and `{}`, and answers JSON with 200',
    async (route) => {
      const json = { 'content-type': 'application/json' };
      const inits: RequestInit[] = [
        {},
        { headers: json },
        { headers: json, body: '' },
        { headers: json, body: '""' },
        { headers: json, body: '{}' },
        { headers: { ...json, 'content-length': '0' } },
        { headers: { origin: 'http://localhost:5001' } },
      ];
      for (const init of inits) {
        const { app } = createServer();
        const response = await app.request(`/sdapi/v1/${route}`, { method: 'POST', ...init });
        expect(response.status).toBe(200);
        expect(response.headers.get('content-type')).toMatch(/^application\/json/);
        expect([null, {}]).toContainEqual(await response.json());
      }
    },
  );
});

describe('what A1111’s own page asks', () => {
  it('follows one task by its id, the preview as a data URI', async () => {
    const server = createManual();
    const ask = async (id_task: string | null) =>
      (await (await server.post('/internal/progress', { id_task })).json()) as object;
    const first = server.begin({ steps: 10, force_task_id: 'task(a)' });
    await until(() => server.services.jobs.view().running === 1);
    const second = server.begin({ force_task_id: 'task(b)' });
    await until(() => server.services.jobs.view().waiting === 1);
    server.step(5);
    server.preview('iVBORw0KGgo=');
    expect(await ask('task(a)')).toMatchObject({
      active: true,
      queued: false,
      completed: false,
      live_preview: 'data:image/png;base64,iVBORw0KGgo=',
    });
    expect(await ask('task(b)')).toMatchObject({ queued: true, textinfo: 'In queue: 2/2' });
    expect(await server.get('/internal/pending-tasks')).toEqual({ size: 1, tasks: ['task(b)'] });
    expect(await server.get('/queue/status')).toMatchObject({ msg: 'estimation', queue_size: 2 });
    server.finish();
    server.finish();
    await Promise.all([first, second]);
    expect(await ask('task(a)')).toMatchObject({ active: false, completed: true });
    expect(await ask(null)).toMatchObject({ active: false, queued: false, completed: false });
  });
});
