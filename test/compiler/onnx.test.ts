import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeModel } from '../../web/compiler/onnx/decode.ts';
import { encodeModel } from '../../web/compiler/onnx/encode.ts';
import { GraphBuilder } from '../../web/compiler/onnx/graph-builder.ts';
import { DTYPE_CODES, type Dtype, type OnnxModel } from '../../web/compiler/onnx/model.ts';
import { add, floats, mul, reshape, scalar } from '../../web/compiler/onnx/ops.ts';
import { ProtoWriter, readFields } from '../../web/compiler/onnx/protobuf.ts';
import { f32, runOnnx } from './lib/runtime.ts';

const name = fc.string({ unit: 'binary', maxLength: 12 });
const integer = fc.maxSafeInteger();
const shape = fc.array(fc.nat({ max: 2 ** 40 }), { maxLength: 5 });
const dtype = fc.constantFrom(...(Object.keys(DTYPE_CODES) as Dtype[]));
const float = fc.float({ noNaN: true });
const tensorType = fc.record({ name, dtype, shape });
const attribute = fc.oneof(
  fc.record({ int: integer }),
  fc.record({ float }),
  fc.record({ string: name }),
  fc.record({ ints: fc.array(integer) }),
  fc.record({ floats: fc.array(float) }),
);
const data = fc.oneof(
  fc.record({ type: fc.constant('inline' as const), bytes: fc.uint8Array() }),
  fc.record({
    type: fc.constant('external' as const),
    location: name,
    offset: fc.maxSafeNat(),
    sizeBytes: fc.maxSafeNat(),
  }),
);
const model: fc.Arbitrary<OnnxModel> = fc.record({
  producer: name,
  graphName: name,
  opsets: fc.dictionary(name, fc.nat({ max: 30 })),
  inputs: fc.array(tensorType),
  outputs: fc.array(tensorType),
  nodes: fc.array(
    fc.record({
      name,
      opType: name,
      domain: name,
      inputs: fc.array(name),
      outputs: fc.array(name),
      attributes: fc.dictionary(name, attribute),
    }),
  ),
  initializers: fc.array(fc.record({ name, dtype, shape, data })),
});

describe('the ONNX writer', () => {
  it('writes what the reader reads, for any model', async () => {
    await fc.assert(
      fc.property(model, (original) => {
        expect(decodeModel(encodeModel(original))).toEqual(original);
      }),
      { numRuns: 200 },
    );
  });

  it('writes numbers as the protobuf documentation does', () => {
    const proto = new ProtoWriter();
    proto.integer(1, 150);
    proto.string(2, 'testing');
    proto.integer(3, -2);
    const hex = Buffer.from(proto.finish()).toString('hex');
    expect(hex).toBe('089601' + '120774657374696e67' + '18feffffffffffffffff01');
  });

  it('reads no field beyond the end', () => {
    const whole = encodeModel({
      producer: 'p',
      graphName: 'g',
      opsets: { '': 17 },
      inputs: [],
      outputs: [],
      nodes: [],
      initializers: [],
    });
    expect(() => decodeModel(whole.subarray(0, whole.length - 1))).toThrow(RangeError);
    expect(() => [...readFields(Uint8Array.of(0x0b))]).toThrow(/wire type/);
    expect(() => decodeModel(new Uint8Array())).toThrow(/no graph/);
  });
});

describe('the graph builder', () => {
  it('makes graphs that onnxruntime runs, with external weights where they lie', async () => {
    const bytes = new Uint8Array(64 + 12);
    new Float32Array(bytes.buffer, 64).set([10, 20, 30]);
    const g = new GraphBuilder('test', {
      weights: () => ({ dtype: 'float32', location: 'w', offset: 64, sizeBytes: 12 }),
    });
    const x = g.input('x', 'float32', [2, 3]);
    const weight = g.scope('layer', () => g.weight('weight', [3]));
    const sum = add(g, mul(g, x, weight), floats(g, x, [3], [0, 0, 1]));
    g.output('y', reshape(g, sum, [6]));
    const onnx = g.encode();
    const external = [{ path: 'w', data: bytes }];
    const { y } = await runOnnx(onnx, { x: f32([1, 2, 3, 4, 5, 6], [2, 3]) }, external);
    expect([...y!.data]).toEqual([10, 40, 91, 40, 100, 181]);
  });

  it('stores equal constants once and names nodes by their module', () => {
    const g = new GraphBuilder('test');
    const x = g.input('x', 'float32', [2]);
    const y = g.scope('a', () => g.scope('b', () => add(g, x, scalar(g, x, 3))));
    g.output('y', add(g, y, scalar(g, x, 3)));
    const { nodes, initializers } = g.model();
    expect(nodes.map((node) => node.name)).toEqual(['a.b/Add', '/Add']);
    expect(initializers).toHaveLength(1);
    expect(nodes.at(-1)?.outputs).toEqual(['y']);
  });

  it('refuses shapes that do not fit when the graph is made, not when it is run', () => {
    const g = new GraphBuilder('test');
    const x = g.input('x', 'float32', [2, 3]);
    expect(() => reshape(g, x, [4])).toThrow(RangeError);
    expect(() => add(g, x, g.input('z', 'float32', [2]))).toThrow(/do not broadcast/);
  });
});
