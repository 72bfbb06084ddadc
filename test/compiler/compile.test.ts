import { beforeAll, describe, expect, it } from 'vitest';
import { type Checkpoint, openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { halfToFloat } from '../../web/compiler/half.ts';
import type {
  ByteSource,
  CompiledComponent,
  CompileProgress,
  ModelFiles,
  WeightSink,
} from '../../web/compiler/model.ts';
import { ShardWriter } from '../../web/compiler/shard-writer.ts';
import { component, MemorySink } from './lib/runtime.ts';
import { syntheticFolder } from './lib/synthetic.ts';

const MEBIBYTE = 1024 * 1024;

let checkpoint: Checkpoint;
beforeAll(async () => {
  checkpoint = await openCheckpoint(syntheticFolder());
});

/** The float32 numbers of a source tensor. */
async function sourceNumbers(name: string): Promise<Float32Array> {
  const unet = checkpoint.components.find((candidate) => candidate.name === 'unet')!;
  const { file, offset, sizeBytes } = unet.tensors.get(name)!;
  return new Float32Array((await file.read(offset, sizeBytes)).slice().buffer);
}

/** The bytes of a weight where the entry says they are. */
function stored({ name, weights }: CompiledComponent, sink: MemorySink, weight: string) {
  const { shard, offset, sizeBytes, dtype, shape } = weights[weight]!;
  return { dtype, shape, bytes: sink.bytes(name)[shard]!.slice(offset, offset + sizeBytes) };
}

describe('compiled weights', () => {
  it('convolutions lie as they were, linear layers are transposed, biases are joined', async () => {
    const sink = new MemorySink();
    const model = await compileCheckpoint(checkpoint, { precision: 'fp32', sink });
    const unet = component(model, 'unet');

    const conv = stored(unet, sink, 'conv_in.weight');
    expect(conv).toMatchObject({ dtype: 'float32', shape: [4, 16, 3, 3] });
    expect(new Float32Array(conv.bytes.buffer)).toEqual(await sourceNumbers('conv_in.weight'));

    const name = 'mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj.weight';
    const [rows, columns] = [96, 12];
    const linear = stored(unet, sink, name);
    expect(linear.shape).toEqual([columns, rows]);
    const source = await sourceNumbers(name);
    const expected = source.map((_, at) => source[(at % rows) * columns + Math.floor(at / rows)]!);
    expect(new Float32Array(linear.bytes.buffer)).toEqual(expected);

    const text = component(model, 'text_encoder');
    expect(text.weights['text_model.encoder.layers.0.self_attn.qkv.bias']?.shape).toEqual([48]);
  });

  it('float16 rounds what runs in float16 and keeps float32 for norms and the VAE', async () => {
    const sink = new MemorySink();
    const model = await compileCheckpoint(checkpoint, { precision: 'fp16', sink });
    const unet = component(model, 'unet');
    expect(model.components.map(({ name, precision }) => [name, precision])).toEqual([
      ['text_encoder', 'fp16'],
      ['unet', 'fp16'],
      ['vae_encoder', 'fp32'],
      ['vae_decoder', 'fp32'],
    ]);
    const conv = stored(unet, sink, 'conv_in.weight');
    expect(conv.dtype).toBe('float16');
    const source = await sourceNumbers('conv_in.weight');
    new Uint16Array(conv.bytes.buffer).forEach((half, at) => {
      expect(Math.abs(halfToFloat(half) - source[at]!)).toBeLessThanOrEqual(2 ** -11);
    });
    expect(unet.weights['conv_norm_out.weight']?.dtype).toBe('float32');
    const vae = Object.values(component(model, 'vae_decoder').weights);
    expect(vae.every(({ dtype }) => dtype === 'float32')).toBe(true);
  });

  it('every weight has its own place, aligned, inside its shard, and no shard is too large', async () => {
    const sink = new MemorySink();
    const maxShardBytes = 16384;
    const model = await compileCheckpoint(checkpoint, {
      precision: 'fp32',
      sink,
      maxShardBytes,
      components: ['unet'],
    });
    const unet = component(model, 'unet');
    expect(model.components).toHaveLength(1);
    expect(unet.shardSizes.length).toBeGreaterThan(3);
    expect(sink.bytes('unet').map(({ byteLength }) => byteLength)).toEqual(unet.shardSizes);
    expect(Math.max(...unet.shardSizes)).toBeLessThanOrEqual(maxShardBytes);
    const places = Object.values(unet.weights).sort(
      (a, b) => a.shard - b.shard || a.offset - b.offset,
    );
    places.forEach(({ shard, offset, sizeBytes }, index) => {
      expect(offset % 64).toBe(0);
      expect(offset + sizeBytes).toBeLessThanOrEqual(unet.shardSizes[shard]!);
      const next = places[index + 1];
      if (next?.shard === shard) expect(next.offset).toBeGreaterThanOrEqual(offset + sizeBytes);
    });
  });

  it('the same checkpoint gives the same bytes', async () => {
    const [first, second] = [new MemorySink(), new MemorySink()];
    const models = [
      await compileCheckpoint(checkpoint, { precision: 'fp16', sink: first }),
      await compileCheckpoint(checkpoint, { precision: 'fp16', sink: second }),
    ];
    expect(models[0]).toEqual(models[1]);
    for (const { name } of models[0]!.components)
      expect(first.bytes(name)).toEqual(second.bytes(name));
  });

  it('a weight larger than a shard has one of its own, with the same bytes', async () => {
    const [whole, cut] = [new MemorySink(), new MemorySink()];
    const options = { precision: 'fp32', components: ['unet'] } as const;
    const expected = await compileCheckpoint(checkpoint, { ...options, sink: whole });
    const model = await compileCheckpoint(checkpoint, {
      ...options,
      sink: cut,
      maxShardBytes: 1000,
    });
    const unet = component(model, 'unet');
    const large = Object.entries(unet.weights).filter(([, { sizeBytes }]) => sizeBytes > 1000);
    expect(large.length).toBeGreaterThan(3);
    for (const [name, { shard, offset, sizeBytes }] of large) {
      expect([offset, unet.shardSizes[shard]]).toEqual([0, sizeBytes]);
      expect(stored(unet, cut, name)).toEqual(stored(component(expected, 'unet'), whole, name));
    }
  });

  it.each([1, 500, 2000])(
    'a matrix of which %i bytes may be in memory is read in strips, to the same bytes',
    async (stripBytes) => {
      const [whole, strips] = [new MemorySink(), new MemorySink()];
      const reads: number[] = [];
      const counted = {
        ...checkpoint,
        components: checkpoint.components.map((part) => ({
          ...part,
          tensors: new Map(
            [...part.tensors].map(([name, tensor]) => {
              const isLinear = tensor.shape.length === 2;
              const read: ByteSource['read'] = (offset, length, options) => {
                if (isLinear) reads.push(length);
                return tensor.file.read(offset, length, options);
              };
              return [name, { ...tensor, file: { ...tensor.file, read } }] as const;
            }),
          ),
        })),
      };
      const options = { precision: 'fp16', components: ['unet'] } as const;
      await compileCheckpoint(checkpoint, { ...options, sink: whole });
      await compileCheckpoint(counted, { ...options, sink: strips, stripBytes });
      expect(strips.bytes('unet')).toEqual(whole.bytes('unet'));
      const linear = [...checkpoint.components[1]!.tensors.values()].filter(
        ({ shape }) => shape.length === 2,
      );
      // The smaller the strips, the more passes.
      expect(reads.length).toBeGreaterThan(linear.length);
    },
  );

  it('a weight beyond what a browser holds in one piece is refused before a byte is written', async () => {
    const writer = new ShardWriter('text_encoder', new MemorySink(), 512 * MEBIBYTE);
    const shape = [2 ** 16, 2 ** 12 + 1];
    await expect(writer.begin('w', { dtype: 'float32', shape })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('Choose a smaller precision'),
    });
    await expect(writer.begin('w', { dtype: 'float16', shape })).resolves.toBeUndefined();
  });
});

describe('progress, cancelling and failures', () => {
  it('counts every source byte once', async () => {
    const seen: CompileProgress[] = [];
    const sink = new MemorySink();
    await compileCheckpoint(checkpoint, {
      precision: 'fp32',
      sink,
      onProgress: (progress) => seen.push(progress),
    });
    const { totalBytes } = seen[0]!;
    const tensorBytes = ['text_encoder', 'unet', 'vae_encoder'].map((name) => {
      const { tensors } = checkpoint.components.find((candidate) => candidate.name === name)!;
      return [...tensors.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    });
    // The VAE's two halves share one file, and together they use every tensor of it.
    expect(totalBytes).toBe(tensorBytes.reduce((sum, bytes) => sum + bytes, 0));
    expect(seen.every((progress) => progress.totalBytes === totalBytes)).toBe(true);
    expect(seen.map(({ doneBytes }) => doneBytes)).toEqual(
      seen.map(({ doneBytes }) => doneBytes).toSorted((a, b) => a - b),
    );
    expect(seen.at(-1)?.doneBytes).toBe(totalBytes);
  });

  it('stops at once when aborted, in the middle of a component', async () => {
    const controller = new AbortController();
    let calls = 0;
    const compiling = compileCheckpoint(checkpoint, {
      precision: 'fp32',
      sink: new MemorySink(),
      signal: controller.signal,
      onProgress: () => {
        calls += 1;
        if (calls === 5) controller.abort();
      },
    });
    await expect(compiling).rejects.toMatchObject({ name: 'AbortError' });
    expect(calls).toBe(5);
  });

  it('passes on what the sink throws, such as a full disk', async () => {
    const full: WeightSink = {
      beginShard: async () => {},
      write: async () => {
        throw new DOMException('no space', 'QuotaExceededError');
      },
    };
    const compiling = compileCheckpoint(checkpoint, { precision: 'fp32', sink: full });
    await expect(compiling).rejects.toMatchObject({ name: 'QuotaExceededError' });
  });

  it('names the file and the tensor when a read comes short', async () => {
    const cut = (source: ByteSource): ByteSource => ({
      ...source,
      read: async (offset, length, options) =>
        (await source.read(offset, length, options)).subarray(0, offset > 90_000 ? 7 : length),
    });
    const folder = syntheticFolder();
    const files: ModelFiles = { name: 'tiny', files: folder.files.map(cut) };
    const options = { precision: 'fp32', sink: new MemorySink(), components: ['unet'] } as const;
    const compiling = openCheckpoint(files).then((opened) => compileCheckpoint(opened, options));
    await expect(compiling).rejects.toMatchObject({
      code: 'invalid-model',
      message: expect.stringMatching(/unet\/diffusion.*cut off: of tensor ".+" \d+ bytes.*7 came/),
    });
  });

  it('refuses a value that float16 cannot hold, and says what to do', async () => {
    const folder = syntheticFolder({
      tensors: {
        unet: (tensors) => {
          const { shape, bytes } = tensors['conv_in.weight']!;
          const values = new Float32Array(bytes.slice().buffer);
          values[3] = 1e6;
          tensors['conv_in.weight'] = { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) };
        },
      },
    });
    const opened = await openCheckpoint(folder);
    const compile = (precision: 'fp16' | 'fp32') =>
      compileCheckpoint(opened, { precision, sink: new MemorySink() });
    await expect(compile('fp16')).rejects.toMatchObject({
      code: 'invalid-model',
      message: expect.stringMatching(/"conv_in.weight" holds 1 values too large.*fp32/),
    });
    await expect(compile('fp32')).resolves.toBeDefined();
  });
});

describe('memory', () => {
  it('reads a large tensor in pieces, and never more than one tensor at a time', async () => {
    const reads: number[] = [];
    let written = 0;
    const rows = 10 * MEBIBYTE;
    const big: ByteSource = {
      path: 'big.safetensors',
      sizeBytes: rows * 4,
      read: async (_, length) => {
        reads.push(length);
        return new Uint8Array(length);
      },
    };
    const sink: WeightSink = {
      beginShard: async () => {},
      write: async (bytes) => {
        written = Math.max(written, bytes.byteLength);
      },
    };
    const text = checkpoint.components.find(({ name }) => name === 'text_encoder')!;
    if (text.config.type !== 'clip-text') throw new Error('a text encoder');
    const name = 'text_model.embeddings.token_embedding.weight';
    const tensor = { ...text.tensors.get(name)!, file: big, offset: 0 };
    const { hiddenSize } = text.config;
    const large = {
      ...text,
      config: { ...text.config, vocabSize: rows / hiddenSize },
      tensors: new Map(text.tensors).set(name, {
        ...tensor,
        shape: [rows / hiddenSize, hiddenSize],
        sizeBytes: rows * 4,
      }),
    };
    await compileCheckpoint({ ...checkpoint, components: [large] }, { precision: 'fp32', sink });
    expect(reads).toHaveLength(5);
    expect(Math.max(...reads)).toBe(8 * MEBIBYTE);
    expect(written).toBeLessThanOrEqual(12 * MEBIBYTE);
  });
});
