import { describe, expect, it } from 'vitest';
import type { DeviceInfo } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import type { OptionDescription } from '../../protocol/option-list.ts';
import { BENCHMARK, createBenchmarkState, runBenchmark } from '../../web/page/benchmark.ts';
import { createBridgeApi } from '../../web/page/bridge-api.ts';
import {
  createOptionsState,
  findOptions,
  readOptions,
  setOption,
  valueOfText,
} from '../../web/page/bridge-options.ts';
import { deviceAdvice } from '../../web/page/device-advice.ts';
import { addToPrompt, loraFacts, readLoraFacts, withLora } from '../../web/page/lora-facts.ts';
import { FakeEngine, fakeSummary } from '../fakes/fake-engine.ts';

const option = (key: string, changes: Partial<OptionDescription> = {}): OptionDescription => ({
  ...{ key, default: 1, status: 'works', about: 'clip skip' },
  ...changes,
});

/** A bridge with one option from 1 to 12 that another client may set as well. */
function bridgeWithOption() {
  const bridge = { value: 1, isAway: false, posted: [] as unknown[] };
  const fetchImpl = (async (input: string | URL | Request, init: RequestInit = {}) => {
    if (bridge.isAway) throw new TypeError('failed to fetch');
    if (String(input).includes('/easel/v1/options')) {
      return Response.json({ options: [option('CLIP_stop_at_last_layers', { min: 1, max: 12 })] });
    }
    if (init.method === 'POST') {
      const body = JSON.parse(String(init.body)) as { CLIP_stop_at_last_layers: number };
      bridge.posted.push(body);
      if (body.CLIP_stop_at_last_layers > 12) {
        const msg = 'ensure this value is from 1 to 12';
        return Response.json({ detail: [{ loc: [], msg, type: 'value_error' }] }, { status: 422 });
      }
      bridge.value = body.CLIP_stop_at_last_layers;
      return Response.json(null);
    }
    return Response.json({ CLIP_stop_at_last_layers: bridge.value });
  }) as typeof fetch;
  return { bridge, api: createBridgeApi('http://localhost:7860/', { fetchImpl }) };
}

describe('the options of the bridge', () => {
  const KEY = 'CLIP_stop_at_last_layers';

  it('are the same state both ways', async () => {
    const { bridge, api } = bridgeWithOption();
    const state = createOptionsState();
    await readOptions(state, api);
    expect(state.values.value).toEqual({ [KEY]: 1 });
    bridge.value = 3;
    await readOptions(state, api);
    expect(state.values.value).toEqual({ [KEY]: 3 });
    await setOption(state, api, KEY, 2);
    expect(bridge.posted).toEqual([{ [KEY]: 2 }]);
    expect(bridge.value).toBe(2);
  });

  it('go back where the bridge refuses, with its reason', async () => {
    const { api } = bridgeWithOption();
    const state = createOptionsState();
    await readOptions(state, api);
    await setOption(state, api, KEY, 99);
    expect(state.values.value).toEqual({ [KEY]: 1 });
    expect(state.problems.value[KEY]?.message).toBe('ensure this value is from 1 to 12');
    await setOption(state, api, KEY, 5);
    expect(state.problems.value[KEY]).toBeUndefined();
  });

  it('keep what was read while the bridge is away', async () => {
    const { api, bridge } = bridgeWithOption();
    const state = createOptionsState();
    await readOptions(state, api);
    bridge.isAway = true;
    await readOptions(state, api);
    expect(state.problems.value['']?.message).toBe('The bridge does not answer.');
    expect(state.list.value).toHaveLength(1);
    bridge.isAway = false;
    await readOptions(state, api);
    expect(state.problems.value).toEqual({});
  });

  it('are found by key and description; those without effect when asked for', () => {
    const list = [
      option('CLIP_stop_at_last_layers'),
      option('eta_ddim', { about: 'eta of DDIM' }),
      option('face_restoration', { about: 'none', status: 'no effect' }),
    ];
    const keys = (query: string, all = false) =>
      findOptions(list, query, all).map(({ key }) => key);
    expect(keys('')).toEqual(['CLIP_stop_at_last_layers', 'eta_ddim']);
    expect(keys('Clip Skip')).toEqual(['CLIP_stop_at_last_layers']);
    expect(keys('eta_ddim')).toEqual(['eta_ddim']);
    expect(keys('face')).toEqual([]);
    expect(keys('face', true)).toEqual(['face_restoration']);
  });

  it.each([
    [1, '2.5', 2.5],
    [1, '', null],
    [1, 'two', null],
    ['', ' a ', ' a '],
    [[], 'a, b,,', ['a', 'b']],
  ])('a default of %j takes %j as %j', (fallback, text, expected) => {
    expect(valueOfText(option('x', { default: fallback as string }), text)).toEqual(expected);
  });
});

describe('the benchmark', () => {
  it('warms up, then measures the steps between the first and the last', async () => {
    const engine = new FakeEngine();
    const state = createBenchmarkState();
    let at = 0;
    const done = runBenchmark(state, engine, { now: () => at });
    expect(engine.lastJob.params).toMatchObject({ ...BENCHMARK, steps: 2 });
    engine.lastJob.resolve(fakeSummary());
    await Promise.resolve();
    await Promise.resolve();
    const { options, params, resolve } = engine.lastJob;
    expect(params).toMatchObject(BENCHMARK);
    const tell = (step: number, time: number) => {
      at = time;
      options.onProgress?.({
        ...{ stage: 'sampling', imageIndex: 0, imageCount: 1, step, steps: 12 },
        ...{ fraction: 0, etaSeconds: null, message: '' },
      });
    };
    tell(0, 400);
    tell(1, 1_000);
    tell(1, 1_100);
    tell(12, 3_200);
    at = 4_000;
    resolve(fakeSummary());
    await done;
    expect(state.result.value).toMatchObject({ stepsPerSecond: 5, seconds: 4 });
    expect(state.isRunning.value).toBe(false);
  });

  it('says what the engine says where it cannot', async () => {
    const state = createBenchmarkState();
    const generate = () => Promise.reject(new GenerationError('device-lost', 'The GPU is gone.'));
    await runBenchmark(state, { generate });
    expect(state.problem.value).toMatchObject({ code: 'device-lost' });
    expect(state.isRunning.value).toBe(false);
  });
});

describe('LoRAs', () => {
  it('tell their trigger words, the most used first, and what they were trained on', () => {
    const metadata = {
      ss_tag_frequency: { '10_cat': { cat: 10, fur: 3 }, '5_more': { fur: 30, ' ': 4, x: 'no' } },
      'modelspec.trigger_phrase': 'my cat',
      ss_sd_model_name: 'v1-5',
    };
    expect(loraFacts(metadata)).toEqual({ triggers: ['my cat', 'fur', 'cat'], base: 'v1-5' });
    expect(loraFacts({ ss_tag_frequency: 'broken' })).toEqual({ triggers: [], base: null });
  });

  it('are read one by one: an odd entry hides no other', async () => {
    const fetchImpl = (async () =>
      Response.json([
        7,
        { name: 'a', metadata: 'odd' },
        { name: 'b', metadata: {} },
      ])) as typeof fetch;
    const facts = await readLoraFacts(createBridgeApi('http://x/', { fetchImpl }));
    expect([...facts.keys()]).toEqual(['a', 'b']);
  });

  it.each([
    ['', '<lora:cat:0.8>'],
    ['a house', 'a house <lora:cat:0.8>'],
    ['a <lora:cat:1> house', 'a <lora:cat:0.8> house'],
    ['<lora:cat>', '<lora:cat:0.8>'],
    ['<lora:cats:1>', '<lora:cats:1> <lora:cat:0.8>'],
  ])('%j gets the tag', (prompt, expected) => {
    expect(withLora(prompt, 'cat', 0.8)).toBe(expected);
  });

  it.each([
    ['', 'fur', 'fur'],
    ['a cat', 'fur', 'a cat, fur'],
    ['a cat, ', 'fur', 'a cat, fur'],
    ['a fur cat', 'fur', 'a fur cat'],
  ])('%j with %j', (prompt, word, expected) => {
    expect(addToPrompt(prompt, word)).toBe(expected);
  });
});

describe('what a device can run', () => {
  const GIB = 2 ** 30;
  const device = (changes: Partial<DeviceInfo>): DeviceInfo => ({
    ...{ provider: 'webgpu', adapter: 'a', isSoftware: false, hasShaderF16: true, wasmThreads: 0 },
    ...{ maxBufferBytes: 2 * GIB, maxStorageBindingBytes: 2 * GIB, reason: '' },
    ...changes,
  });
  it.each([
    [device({ memoryBytes: 24 * GIB }), /24 GiB.*1\.5 \(fp16\).*SDXL \(fp16\)/],
    [device({ memoryBytes: 8 * GIB }), /SDXL \(q8\)/],
    [device({ memoryBytes: 4 * GIB }), /1\.5 \(fp16\).*SDXL \(q4\)/],
    [device({ memoryBytes: GIB / 2 }), /only small checkpoints/],
    [device({}), /8 GiB of graphics memory \(judged/],
    [device({ provider: 'wasm' }), /Without a usable GPU/],
    [device({ isSoftware: true }), /software adapter/],
  ])('%#', (info, expected) => expect(deviceAdvice(info)).toMatch(expected));
});
