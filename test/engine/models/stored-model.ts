import type { CompiledModel } from '../../../web/compiler/model.ts';
import type { Manifest } from '../../../web/engine/models/manifest.ts';
import type { ModelStore } from '../../../web/engine/models/model-store.ts';

/** A compiled model of one component with two small shards. */
export const SHARDS = [new Uint8Array(250).map((_, i) => i), new Uint8Array(30).fill(7)];

export const COMPILED_MODEL: CompiledModel = {
  description: {
    family: 'sd1',
    predictionType: 'epsilon',
    isPredictionAssumed: false,
    trainSteps: 1000,
    betaStart: 0.00085,
    betaEnd: 0.012,
    betaSchedule: 'scaled_linear',
    latentChannels: 4,
    vaeFactor: 8,
    scalingFactor: 0.18215,
    shiftFactor: 0,
    unetInChannels: 4,
    nativeResolution: 512,
    zeroTerminalSnr: false,
    unetInputs: { textEmbeds: null, timeIds: null, timestepCond: null },
    notes: [],
    textEncoders: [
      {
        component: 'text_encoder',
        layers: 12,
        hiddenSize: 768,
        contextLength: 77,
        vocabSize: 3,
        bosId: 0,
        eosId: 1,
        padId: 1,
        states: { clipSkip: 1, finalNorm: true, followsClipSkip: true },
        projectionSize: null,
        tokenizer: { vocab: { 'a</w>': 2 }, merges: [] },
      },
    ],
  },
  components: [
    {
      name: 'unet',
      config: { type: 'unet', channels: [1, 2], mid: null },
      precision: 'fp32',
      shardSizes: SHARDS.map((shard) => shard.length),
      weights: {
        'conv_in.weight': { dtype: 'float32', shape: [2, 5], shard: 0, offset: 0, sizeBytes: 40 },
      },
    },
  ],
};

/** Writes it in pieces that fit no chunk. */
export async function writeModel(store: ModelStore, key: string, name = 'a model') {
  const writer = store.write(key);
  for (const [index, shard] of SHARDS.entries()) {
    await writer.sink.beginShard('unet', index);
    for (let offset = 0; offset < shard.length; offset += 33) {
      await writer.sink.write(shard.subarray(offset, offset + 33));
    }
  }
  return writer.finish(COMPILED_MODEL, { name, sha256: 'f'.repeat(64) });
}

/** The bytes of its shards as the store gives them. */
export async function shardBytes(store: ModelStore, stored: Manifest) {
  const shards = await store.shards(stored, stored.model.components[0]!);
  return Promise.all(shards.map(async (b) => new Uint8Array(await b.arrayBuffer())));
}
