import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { DOWNLOADS_PATH } from '../../../protocol/downloads/download-view.ts';
import {
  type BadHost,
  CHECKPOINT_TENSORS,
  LORA_TENSORS,
  openBadHost,
  safetensorsFile,
} from '../../fakes/bad-host.ts';
import { startTestBridge, type TestBridge } from '../support.ts';

const MB = 2 ** 20;
const LORA = safetensorsFile(LORA_TENSORS, MB);
const CHECKPOINT = safetensorsFile(CHECKPOINT_TENSORS, 2 * MB);

let hub: BadHost;
let bridge: TestBridge;

beforeAll(async () => {
  hub = await openBadHost();
  hub.repository('owner/lora', { 'x.safetensors': LORA });
  hub.repository('owner/first', { 'x.safetensors': CHECKPOINT }, { speed: 2 * MB });
  vi.stubEnv('HF_ENDPOINT', hub.url);
  vi.stubEnv('HF_TOKEN', 'hf_s3cret');
  bridge = await startTestBridge(['--hf-model-id', 'owner/first']);
});

afterAll(async () => {
  await bridge.dispose();
  await hub.close();
  vi.unstubAllEnvs();
});

const get = async (path: string) => (await fetch(bridge.url + path)).json();
const token = async () => (await get('/easel/v1/engine-token')).token as string;

async function until(condition: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`did not come to be:\n${bridge.lines.join('\n')}`);
}

describe('--hf-model-id', () => {
  test('downloads a checkpoint that is not there, shows it in /health, and selects it', async () => {
    await until(async () => (await get('/health')).activity?.kind === 'download');
    expect(await bridge.downloadedCheckpoint).toBe('first');
    expect(await get('/sdapi/v1/options')).toMatchObject({
      sd_model_checkpoint: expect.stringContaining('first'),
    });
    expect((await get('/easel/v1/engine-token')).checkpoint).toBe('first');
    // Clients that know the id find it by that as well.
    const chosen = await bridge.post('/sdapi/v1/options', { sd_model_checkpoint: 'owner/first' });
    expect(chosen.status).toBe(200);
    const path = join(bridge.dataFolder, 'models/Stable-diffusion/first.safetensors');
    expect(readFileSync(path).equals(CHECKPOINT)).toBe(true);
  });
});

describe('the downloads of the page', () => {
  test('are refused to other pages and to callers without the engine token', async () => {
    const asked = hub.seen.length;
    const body = { reference: 'owner/lora' };
    const status = async (headers: Record<string, string>) =>
      (await bridge.post(DOWNLOADS_PATH, body, headers)).status;
    const own = await token();
    expect(await status({})).toBe(401);
    expect(await status({ 'x-easel-token': 'x'.repeat(own.length) })).toBe(401);
    for (const headers of [
      { origin: 'https://lite.koboldai.net' },
      { origin: 'http://localhost:9999' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      expect(await status({ ...headers, 'x-easel-token': own } as Record<string, string>)).toBe(
        403,
      );
    }
    const listed = await fetch(bridge.url + DOWNLOADS_PATH, {
      headers: { origin: 'https://lite.koboldai.net' },
    });
    expect(listed.status).toBe(403);
    expect(hub.seen.length).toBe(asked);
  });

  test('are started, listed, finished, and their models listed', async () => {
    const headers = { 'x-easel-token': await token() };
    const post = (path: string, body: unknown = {}) => bridge.post(path, body, headers);
    expect((await post(DOWNLOADS_PATH, { reference: 'no model' })).status).toBe(422);
    expect((await post(DOWNLOADS_PATH, { kind: 'lora' })).status).toBe(422);
    expect((await post(`${DOWNLOADS_PATH}/0000000000000000/pause`)).status).toBe(404);
    expect((await post(DOWNLOADS_PATH, { reference: 'a/b', pad: 'x'.repeat(20_000) })).status).toBe(
      413,
    );
    const started = await (await post(DOWNLOADS_PATH, { reference: 'owner/lora' })).json();
    const { id } = started.downloads.at(-1);
    await until(async () =>
      (await get(DOWNLOADS_PATH)).downloads.some(
        (view: { id: string; state: string }) => view.id === id && view.state === 'finished',
      ),
    );
    expect(await get('/sdapi/v1/loras')).toMatchObject([{ name: 'lora' }]);
    await post(`${DOWNLOADS_PATH}/${id}/cancel`);
    expect(
      (await get(DOWNLOADS_PATH)).downloads.map((view: { id: string }) => view.id),
    ).not.toContain(id);
    // Taken off the list of downloads, not off the disk.
    expect(await get('/sdapi/v1/loras')).toMatchObject([{ name: 'lora' }]);
  });

  test('and the command line leave the token in no reply and no log', async () => {
    for (const path of ['/sdapi/v1/cmd-flags', '/sdapi/v1/options', DOWNLOADS_PATH, '/health']) {
      expect(JSON.stringify(await get(path))).not.toContain('s3cret');
    }
    expect(bridge.lines.join('\n')).not.toContain('s3cret');
    expect(hub.seen.some(({ headers }) => headers.authorization === 'Bearer hf_s3cret')).toBe(true);
  });
});
