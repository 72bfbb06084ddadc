import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeTab } from '../fakes/fake-tab.ts';
import { startTestBridge, type TestBridge } from './support.ts';

let bridge: TestBridge;
let tab: FakeTab;

beforeAll(async () => {
  bridge = await startTestBridge(['--log-format', 'json']);
  tab = await FakeTab.attach(bridge.url);
});
afterAll(async () => {
  await tab.close();
  await bridge.dispose();
});

/** The figure of one line of Prometheus' text format; undefined where there is no such line. */
async function figures(): Promise<(name: string) => number | undefined> {
  const reply = await fetch(`${bridge.url}/metrics`);
  expect(reply.headers.get('content-type')).toContain('text/plain');
  const lines = (await reply.text()).split('\n');
  return (name) => {
    const line = lines.find((candidate) => candidate.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  };
}

describe('GET /metrics', () => {
  it('counts jobs by outcome, requests by route and status, engines and the queue', async () => {
    const made = await bridge.post('/sdapi/v1/txt2img', { prompt: 'a secret prompt', steps: 2 });
    expect(made.status).toBe(200);
    expect((await bridge.post('/sdapi/v1/txt2img', { steps: 'many' })).status).toBe(422);
    await fetch(`${bridge.url}/easel/v1/jobs/one-that-is-not-there`);
    await fetch(`${bridge.url}/no/such/path?of=mine`);

    const read = await figures();
    expect(read('easel_jobs_total{outcome="finished"}')).toBe(1);
    expect(read('easel_job_run_seconds_count')).toBe(1);
    expect(read('easel_engines{state="idle"}')).toBe(1);
    expect(read('easel_queue_jobs{state="waiting"}')).toBe(0);
    expect(read('easel_queue_limit')).toBe(64);
    const requests = (labels: string) =>
      read(`easel_http_request_duration_seconds_count{${labels}}`);
    expect(requests('method="POST",route="/sdapi/v1/txt2img",status="200"')).toBe(1);
    expect(requests('method="POST",route="/sdapi/v1/txt2img",status="422"')).toBe(1);
    expect(requests('method="GET",route="/easel/v1/jobs/:id",status="404"')).toBe(1);
    expect(read('nodejs_eventloop_lag_seconds')).toBeGreaterThanOrEqual(0);

    const text = await (await fetch(`${bridge.url}/metrics`)).text();
    expect(text).not.toContain('secret');
    expect(text).not.toContain('no/such/path');
  });

  it('asks for the password where one is set', async () => {
    const closed = await startTestBridge(['--api-auth', 'me:a-long-password']);
    try {
      expect((await fetch(`${closed.url}/metrics`)).status).toBe(401);
      const authorization = `Basic ${Buffer.from('me:a-long-password').toString('base64')}`;
      const reply = await fetch(`${closed.url}/metrics`, { headers: { authorization } });
      expect(reply.status).toBe(200);
      expect(await reply.text()).toContain('easel_engines');
    } finally {
      await closed.dispose();
    }
  });
});

describe('--log-format json', () => {
  it('writes one object a line, and every line of a request has the id that its reply carries', async () => {
    // The harness' own logger is text; the bridge's choice shows in its requests at level info.
    const reply = await bridge.post(
      '/sdapi/v1/txt2img',
      { prompt: 'x', steps: 1 },
      { 'x-request-id': 'my-request-7' },
    );
    expect(reply.headers.get('x-request-id')).toBe('my-request-7');
    const line = bridge.lines.find((text) => text.includes('request=my-request-7'));
    expect(line).toContain(' info ');
    const unnamed = await fetch(`${bridge.url}/health`);
    expect(unnamed.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});
