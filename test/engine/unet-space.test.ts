import { describe, expect, test } from 'vitest';
import type { TextContext, UnetCall } from '../../web/engine/diffusion-model.ts';
import { createArrayLatentOps } from '../../web/engine/runtime/array-latent-ops.ts';
import type { ModelSession, Runtime } from '../../web/engine/runtime/runtime.ts';
import type { DeviceTensor, TensorValues } from '../../web/engine/runtime/tensor.ts';
import {
  type BatchSessions,
  createLatentSpace,
  embedGuidanceScale,
} from '../../web/engine/unet-space.ts';

function tensor(values: TensorValues, shape: readonly number[]): DeviceTensor {
  return { dtype: 'float32', shape, location: 'cpu', read: async () => values, dispose() {} };
}

const RUNTIME = {
  device: { provider: 'wasm' },
  tensor,
  upload: tensor,
  settled: async () => {},
} as unknown as Runtime;

const context = (value: number, tokens = 77): TextContext => ({
  tokens,
  values: new Float32Array(tokens).fill(value),
  textEmbeds: Float32Array.of(value, -value),
});

/** A UNet whose answer is the mean of its row's text, and which remembers what it was fed. */
async function setUp({
  pictures = 1,
  contexts = [context(1), context(2)],
  hasRoomForSingle = true,
  isParted = false,
  unetInputs = { textEmbeds: null, timeIds: null, timestepCond: null } as {
    textEmbeds: number | null;
    timeIds: number | null;
    timestepCond: number | null;
  },
  crop = undefined as { top: number; left: number } | undefined,
} = {}) {
  const opened: string[] = [];
  const feeds: Record<string, DeviceTensor>[] = [];
  const unet: ModelSession = {
    async run(given) {
      feeds.push(given);
      const states = given.encoder_hidden_states ?? given.keys!;
      const values = (await states.read()) as Float32Array;
      const [rows = 1] = states.shape;
      const size = values.length / rows;
      const means = Array.from({ length: rows }, (_, row) => {
        const text = values.subarray(row * size, (row + 1) * size);
        return text.reduce((sum, value) => sum + value, 0) / size;
      });
      return { out_sample: tensor(Float32Array.from(means), [rows, 1, 1, 1]) };
    },
    async release() {},
  };
  /** Leaves the states as they are, under another name. */
  const texts: ModelSession = {
    async run({ encoder_hidden_states: states, ...others }) {
      if (others.timestep_cond) throw new Error('the guidance scale is no text');
      return { keys: states! };
    },
    async release() {},
  };
  const sessions: BatchSessions = {
    async unet(copies, tokens) {
      opened.push(`${copies}×${tokens}`);
      return unet;
    },
    unetContext: isParted
      ? async (copies, tokens) => {
          opened.push(`texts ${copies}×${tokens}`);
          return texts;
        }
      : null,
    hasRoomForSingle: () => hasRoomForSingle,
    vaeDecoder: async () => unet,
    sketch: null,
    controls: { hint: async () => unet, residuals: async () => unet },
  };
  const batch = { pictures, channels: 1, height: 1, width: 1 };
  const request = { ...batch, contexts, guidanceScale: 7.5, ...(crop ? { crop } : {}) };
  const ops = createArrayLatentOps(RUNTIME, batch);
  const space = createLatentSpace(RUNTIME, ops, sessions, request, { unetInputs, vaeFactor: 8 });
  const predict = async (mixes: number[][], texts: readonly TextContext[] = contexts) => {
    const x = new Float32Array(pictures).fill(10);
    const call: UnetCall = { inputScale: 0.5, timestep: 321, contexts: texts, mixes };
    return (await space.predict(x, call)).map((values) => [...values]);
  };
  return { predict, opened, feeds };
}

describe('one call of the UNet', () => {
  test('takes cond and uncond as one batch, rows of one text together', async () => {
    const { predict, opened, feeds } = await setUp({ pictures: 3 });
    expect(await predict([[1, 100, 1000]])).toEqual([[2110, 2110, 2110]]);
    expect(opened).toEqual(['2×77']);
    expect(feeds[0]!.sample!.shape).toEqual([6, 1, 1, 1]);
    expect([...(await feeds[0]!.sample!.read())]).toEqual([5, 5, 5, 5, 5, 5]);
    expect([...(await feeds[0]!.timestep!.read())]).toEqual(new Array(6).fill(321));
    const states = (await feeds[0]!.encoder_hidden_states!.read()) as Float32Array;
    expect([0, 1, 2, 3, 4, 5].map((row) => states[row * 77])).toEqual([1, 1, 1, 2, 2, 2]);
  });

  test('gives several mixes of one run', async () => {
    const { predict, feeds } = await setUp();
    expect(
      await predict([
        [1, 2, 3],
        [0, 0, 1],
      ]),
    ).toEqual([[18], [2]]);
    expect(feeds).toHaveLength(1);
  });

  test('takes more texts in runs of two, the latents’ own share once', async () => {
    const contexts = [context(1), context(2), context(3)];
    const { predict, opened } = await setUp({ contexts });
    expect(await predict([[1, 100, 1000, 10000]])).toEqual([[10 + 100 + 2000 + 30000]]);
    expect(opened).toEqual(['2×77', '2×77']);
  });

  test('repeats texts of unlike lengths to their common length', async () => {
    const contexts = [context(1, 154), context(2, 77), context(3, 231)];
    const { predict, opened, feeds } = await setUp({ contexts });
    expect(await predict([[0, 1, 10]], contexts.slice(0, 2))).toEqual([[21]]);
    // One length for the whole job, so that one UNet serves all of its calls.
    expect(opened).toEqual(['2×462']);
    expect(feeds[0]!.encoder_hidden_states!.shape).toEqual([2, 462, 1]);
  });

  test('runs texts apart whose common length is out of proportion', async () => {
    const contexts = [context(1, 77 * 16), context(2, 77 * 15)];
    const { predict, opened } = await setUp({ contexts });
    expect(await predict([[0, 1, 10]])).toEqual([[21]]);
    expect(opened).toEqual(['1×1232', '1×1155']);
  });

  test.each([
    [true, '1×77'],
    [false, '2×77'],
  ])('with one text opens a second UNet only where there is room: %s', async (room, session) => {
    const { predict, opened } = await setUp({ hasRoomForSingle: room });
    await predict([[0, 1, 1]]);
    expect(await predict([[0, 5]], [context(3)])).toEqual([[15]]);
    expect(opened).toEqual(['2×77', session]);
  });

  test.each([
    [undefined, [8, 8, 0, 0, 8, 8]],
    [{ top: 128, left: 64 }, [8, 8, 128, 64, 8, 8]],
  ])('tells SDXL the pooled texts, the sizes in pixels and the crop %j', async (crop, ids) => {
    const { predict, feeds } = await setUp({
      pictures: 2,
      ...(crop ? { crop } : {}),
      unetInputs: { textEmbeds: 2, timeIds: 6, timestepCond: null },
    });
    await predict([[0, 1, 1]]);
    expect([...(await feeds[0]!.text_embeds!.read())]).toEqual([1, -1, 1, -1, 2, -2, 2, -2]);
    expect(feeds[0]!.time_ids!.shape).toEqual([4, 6]);
    expect([...(await feeds[0]!.time_ids!.read())].slice(0, 6)).toEqual(ids);
    expect(feeds[0]!.timestep_cond).toBeUndefined();
  });

  test('what depends on the texts alone is made once for all calls, before the first pass', async () => {
    const contexts = [context(1), context(2), context(3)];
    const unetInputs = { textEmbeds: 2, timeIds: null, timestepCond: 4 };
    const { predict, opened, feeds } = await setUp({ contexts, isParted: true, unetInputs });
    const mix = [1, 100, 1000, 10000];
    expect(await predict([mix])).toEqual([[10 + 100 + 2000 + 30000]]);
    expect(await predict([mix])).toEqual([[10 + 100 + 2000 + 30000]]);
    const runs = ['2×77', '2×77'];
    expect(opened).toEqual(['texts 2×77', 'texts 2×77', ...runs, ...runs]);
    expect(feeds[2]!.keys).toBe(feeds[0]!.keys);
    // What the other part took is not told again.
    const names = ['keys', 'sample', 'timestep', 'timestep_cond'];
    expect(Object.keys(feeds[0]!).toSorted()).toEqual(names);
  });

  test('uploads texts once for all calls', async () => {
    const { predict, feeds } = await setUp();
    await predict([[0, 1, 1]]);
    await predict([[0, 1, 1]]);
    expect(feeds[1]!.encoder_hidden_states).toBe(feeds[0]!.encoder_hidden_states);
  });
});

test('the guidance scale is embedded as latent consistency models learned it', () => {
  // diffusers: get_guidance_scale_embedding(torch.tensor([6.5]), embedding_dim=4)
  const [a, b, c, d] = embedGuidanceScale(7.5, 4);
  expect(a).toBeCloseTo(Math.sin(6500), 5);
  expect(b).toBeCloseTo(Math.sin(0.65), 5);
  expect(c).toBeCloseTo(Math.cos(6500), 5);
  expect(d).toBeCloseTo(Math.cos(0.65), 5);
});
