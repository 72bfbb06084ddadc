import { describe, expect, it, vi } from 'vitest';
import type { JobEvent } from '../../protocol/job.ts';
import { createApiJobsState, followApiJobs } from '../../web/page/api-jobs.ts';
import { createBridgeApi } from '../../web/page/bridge-api.ts';
import { fakeSummary } from '../fakes/fake-engine.ts';

interface Job {
  id: string;
  client: string;
  key: string | null;
  state: string;
  error: null;
}

function setUp(jobs: Job[]) {
  const listeners = new Map<string, (event: { data: string }) => void>();
  const asked: string[] = [];
  const failures = { left: 0 };
  const api = createBridgeApi('http://localhost:7860/', {
    fetchImpl: async (input) => {
      const path = new URL(String(input)).pathname;
      asked.push(path);
      if (path.endsWith('/jobs')) return Response.json({ jobs });
      if (failures.left-- > 0) return new Response('{}', { status: 404 });
      return new Response(new Uint8Array([0x89, 0x50, 0x4e, 0x47]));
    },
    openEvents: () => ({
      addEventListener: (type, listener) => void listeners.set(type, listener),
      close: () => listeners.clear(),
    }),
  });
  const state = createApiJobsState();
  const now = () => new Date(2026, 10, 24, 9, 5, 7);
  const stop = followApiJobs(state, api, { ownKeys: new Set(['mine']), now, pauseMs: 1 });
  const emit = (event: JobEvent | Record<string, unknown>) =>
    listeners.get(String(event.type))?.({ data: JSON.stringify(event) });
  return { state, emit, asked, failures, stop, listeners };
}

const job = (id: string, overrides: Partial<Job> = {}): Job => ({
  id,
  client: 'KoboldAI Lite',
  key: null,
  state: 'running',
  error: null,
  ...overrides,
});

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
  etaSeconds: 3,
  message: '',
});

const image = (jobId: string, index: number) => ({
  type: 'job-image',
  jobId,
  attempt: 1,
  index,
  format: 'png',
  url: `/easel/v1/jobs/${jobId}/images/${index}`,
  infotext: 'a fox\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 512x512',
  prompt: 'a fox',
  negativePrompt: '',
  seed: 5 + index,
  subseed: 1,
  width: 512,
  height: 512,
});

const finished = (jobId: string): JobEvent => ({
  type: 'job-finished',
  jobId,
  attempt: 1,
  summary: fakeSummary(),
});

describe('jobs of other programs', () => {
  it('are shown with their name, progress and preview, and leave their pictures', async () => {
    const { state, emit, asked } = setUp([job('a')]);
    emit(progress('a', 3));
    emit({ type: 'job-preview', jobId: 'a', attempt: 1, data: 'AAAA' });
    await vi.waitFor(() => expect(state.current.value?.preview?.size).toBe(3));
    expect(state.current.value).toMatchObject({ client: 'KoboldAI Lite', progress: { step: 3 } });
    emit(image('a', 0));
    emit(image('a', 1));
    emit(finished('a'));
    await vi.waitFor(() => expect(state.pictures.value).toHaveLength(2));
    expect(state.current.value).toBeNull();
    expect(state.pictures.value[0]).toMatchObject({
      client: 'KoboldAI Lite',
      picture: { info: { fileName: '090507_a_fox_6.png', steps: 20, sampler: 'Euler' } },
    });
    expect(asked.filter((path) => path.endsWith('/jobs'))).toHaveLength(1);
  });

  it('wait for pictures that the bridge has not written down yet', async () => {
    const { state, emit, failures } = setUp([job('a')]);
    failures.left = 3;
    emit(image('a', 0));
    emit(finished('a'));
    await vi.waitFor(() => expect(state.pictures.value).toHaveLength(1));
  });

  it("are not this page's own, nor unknown ones", async () => {
    const { state, emit, asked } = setUp([job('a', { key: 'mine' })]);
    emit(progress('a', 1));
    emit(progress('gone', 1));
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(state.current.value).toBeNull();
  });

  it('vanish when they fail', async () => {
    const { state, emit } = setUp([job('a')]);
    emit(progress('a', 1));
    await vi.waitFor(() => expect(state.current.value).not.toBeNull());
    const error = { code: 'device-lost', message: 'x' } as const;
    emit({ type: 'job-failed', jobId: 'a', attempt: 1, error });
    await vi.waitFor(() => expect(state.current.value).toBeNull());
    expect(state.pictures.value).toEqual([]);
  });

  it('keep a dozen pictures at most, and nothing after the end', async () => {
    const { state, emit, stop, listeners } = setUp([job('a')]);
    for (let index = 0; index < 15; index++) emit(image('a', index));
    emit(finished('a'));
    await vi.waitFor(() => expect(state.pictures.value[0]?.picture.info.seed).toBe(19));
    expect(state.pictures.value).toHaveLength(12);
    stop();
    expect(listeners.size).toBe(0);
  });

  it('do not stumble over what they do not understand', async () => {
    const { state, emit } = setUp([job('a')]);
    emit({ type: 'job-progress', jobId: 'a', stage: 'dreaming' });
    emit(progress('a', 2));
    await vi.waitFor(() => expect(state.current.value?.progress?.step).toBe(2));
  });
});
