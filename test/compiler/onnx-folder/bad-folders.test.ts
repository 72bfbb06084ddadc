import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../../web/compiler/checkpoint.ts';
import { ProtoWriter } from '../../../web/compiler/onnx/protobuf.ts';
import type { Node, OnnxFile } from '../../../web/compiler/onnx-folder/graph.ts';
import { readOnnxFile } from '../../../web/compiler/onnx-folder/read-graph.ts';
import { memorySource } from '../lib/files.ts';
import {
  type Files,
  type OnnxFolderOptions,
  onnxFolder,
  toModel,
  watched,
} from '../lib/onnx-folder.ts';

const GPU = { provider: 'webgpu', hasShaderF16: false } as const;

/** The folder with every node of a component's graph put through `map`. */
function withNodes(component: string, map: (node: Node) => Node): Promise<Files> {
  return withModel(component, (model) => ({
    ...model,
    graph: { ...model.graph, nodes: model.graph.nodes.map(map) },
  }));
}

function withModel(component: string, change: (model: OnnxFile) => OnnxFile): Promise<Files> {
  const options: OnnxFolderOptions = {
    change: (name, model) => (name === component ? change(model) : model),
  };
  return onnxFolder('sd15-tiny', options);
}

const opened = async (
  files: Files,
  device?: { provider: 'webgpu' | 'wasm'; hasShaderF16: boolean },
) => openCheckpoint(toModel(files), device ? { device } : {});

describe('what a device does not run', () => {
  it('is named, operator by operator, before a weight is read', async () => {
    const files = await withNodes('unet', (node) =>
      node.opType === 'InstanceNormalization'
        ? { ...node, opType: 'GroupNorm', domain: 'com.microsoft' }
        : node.opType === 'Conv'
          ? { ...node, opType: 'NhwcConv', domain: 'com.microsoft' }
          : node,
    );
    const { model, reads } = watched(toModel(files));
    await expect(openCheckpoint(model)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(
        /^unet\/model\.onnx: uses operators .*: NhwcConv \(com\.microsoft\), GroupNorm \(com\.microsoft\)\. .*CUDA/,
      ),
    });
    expect(reads.filter((path) => !path.endsWith('.onnx'))).toEqual([]);
  });

  it('differs by provider', async () => {
    const files = await withNodes('unet', (node) =>
      node.opType === 'Erf' ? { ...node, opType: 'BiasSplitGelu', domain: 'com.microsoft' } : node,
    );
    await opened(files, { provider: 'webgpu', hasShaderF16: false });
    await expect(opened(files, { provider: 'wasm', hasShaderF16: false })).rejects.toThrow(
      /BiasSplitGelu \(com\.microsoft\)\. Only WebGPU has it/,
    );
  });

  it('is half precision on an adapter without it', async () => {
    const files = await onnxFolder('sd15-tiny', { variants: { unet: 'fixed-half-unet' } });
    await expect(opened(files, GPU)).rejects.toThrow(/half precision.*shader-f16/);
    await opened(files, { ...GPU, hasShaderF16: true });
  });

  it('is attention whose query, key and value are one tensor', async () => {
    let isFirst = true;
    const files = await withNodes('unet', (node) => {
      if (node.opType !== 'Softmax' || !isFirst) return node;
      isFirst = false;
      return { ...node, opType: 'MultiHeadAttention', domain: 'com.microsoft' };
    });
    await expect(opened(files)).rejects.toThrow(/packs query, key and value/);
  });

  it('is an operator of another domain, and one that ONNX will have some day', async () => {
    for (const [opType, domain] of [
      ['Sin', 'my.domain'],
      ['Sinus', ''],
    ] as const) {
      const files = await withNodes('text_encoder', (node) =>
        node.opType === 'Sigmoid' ? { ...node, opType, domain } : node,
      );
      await expect(opened(files)).rejects.toThrow(`on this device: ${opType}`);
    }
  });
});

describe('files that are broken', () => {
  it('are told apart: a graph cut off at any place, weights cut off, weights missing', async () => {
    const files = new Map(await onnxFolder('sd15-tiny'));
    const graph = files.get('text_encoder/model.onnx')!;
    for (const share of [0, 0.001, 0.3, 0.7, 0.999]) {
      const cut = graph.slice(0, Math.floor(graph.length * share));
      const file = memorySource('text_encoder/model.onnx', cut);
      await expect(readOnnxFile(file)).rejects.toMatchObject({
        code: 'invalid-model',
        message: expect.stringContaining('text_encoder/model.onnx'),
      });
    }
    const data = files.get('unet/model.onnx_data')!;
    files.set('unet/model.onnx_data', data.slice(0, data.length - 4));
    await expect(opened(files)).rejects.toThrow(
      /^unet\/model\.onnx_data: is cut off: the weight "/,
    );
    files.delete('unet/model.onnx_data');
    await expect(opened(files)).rejects.toThrow(
      /^unet\/model\.onnx_data: is missing: unet\/model\.onnx keeps weights there/,
    );
  });

  it('that are something else are no ONNX files', async () => {
    for (const text of ['<!doctype html><html></html>', '{"error":"not found"}', '\u0000\u0001']) {
      const file = memorySource('unet/model.onnx', new TextEncoder().encode(text));
      await expect(readOnnxFile(file)).rejects.toMatchObject({ code: 'invalid-model' });
    }
    for (let seed = 1; seed < 200; seed++) {
      const noise = Uint8Array.from(
        { length: 300 },
        (_, i) => (Math.imul(i + 7, seed * 2654435761) >>> 13) & 255,
      );
      await expect(readOnnxFile(memorySource('x.onnx', noise))).rejects.toMatchObject({
        code: expect.stringMatching(/invalid-model|unsupported/),
      });
    }
  });

  it('that reach for weights outside of their folder are refused', async () => {
    const files = new Map(await onnxFolder('sd15-tiny'));
    const graph = Buffer.from(files.get('unet/model.onnx')!);
    const away = Buffer.from(
      graph.toString('latin1').replaceAll('model.onnx_data', '../../../secret'),
      'latin1',
    );
    files.set('unet/model.onnx', new Uint8Array(away));
    await expect(opened(files)).rejects.toThrow(/wants weights from "\.\.\/\.\.\/\.\.\/secret"/);
  });

  it('whose tensors do not hold what their shapes say are refused by name', async () => {
    const files = await withModel('vae_decoder', ({ graph, ...rest }) => ({
      ...rest,
      graph: {
        ...graph,
        initializers: graph.initializers.map((tensor) =>
          tensor.name === 'decoder.conv_out.bias' ? { ...tensor, shape: [4] } : tensor,
        ),
      },
    }));
    await expect(opened(files)).rejects.toThrow(
      /tensor "decoder\.conv_out\.bias" \[4\] of float32 takes 16 bytes, but has 12/,
    );
  });
});

describe('what the reader does not know', () => {
  const file = (write: (graph: ProtoWriter, model: ProtoWriter) => void) => {
    const proto = new ProtoWriter();
    proto.integer(1, 8);
    proto.message(8, (opset) => opset.integer(2, 17));
    proto.message(7, (graph) => write(graph, proto));
    return memorySource('odd.onnx', proto.finish());
  };
  const tensor = (type: number) => (graph: ProtoWriter) =>
    graph.message(5, (inner) => {
      inner.integer(2, type);
      inner.string(8, 'odd');
    });

  it.each([
    ['a sparse tensor', (graph: ProtoWriter) => graph.message(15, () => {}), /sparse tensors/],
    ['a later field', (graph: ProtoWriter) => graph.message(99, () => {}), /graph field 99/],
    ['bfloat16', tensor(16), /tensor "odd" is bfloat16/],
    ['a string tensor', tensor(8), /tensor "odd" is string/],
    [
      'a segment',
      (graph: ProtoWriter) => graph.message(5, (inner) => inner.message(3, () => {})),
      /a segment/,
    ],
    [
      'a sequence',
      (graph: ProtoWriter) => graph.message(11, (inner) => inner.string(1, 'list')),
      /"list" is no tensor/,
    ],
  ])('is named: %s', async (_, write, message) => {
    await expect(readOnnxFile(file(write))).rejects.toThrow(message);
  });

  it('is named: functions of its own', async () => {
    const proto = new ProtoWriter();
    proto.integer(1, 8);
    proto.message(25, () => {});
    await expect(readOnnxFile(memorySource('odd.onnx', proto.finish()))).rejects.toThrow(
      /functions of its own/,
    );
  });

  it('is an input that no exporter of these models has', async () => {
    const files = await withModel('unet', ({ graph, ...rest }) => ({
      ...rest,
      graph: {
        ...graph,
        inputs: [...graph.inputs, { name: 'mid_block_residual', type: 1, shape: [1, 2] }],
      },
    }));
    await expect(opened(files)).rejects.toThrow(
      /has the input "mid_block_residual" \(float32 \[1, 2\]\)/,
    );
  });
});

it('a folder says which part is missing', async () => {
  const without = (pattern: RegExp) => onnxFolder('sdxl-tiny', { without: pattern });
  await expect(opened(await without(/^text_encoder\/model/))).rejects.toThrow(
    /text_encoder: holds no \.onnx file/,
  );
  await expect(opened(await without(/^text_encoder_2\/model/))).rejects.toThrow(
    /text_encoder_2: holds no \.onnx file/,
  );
});
