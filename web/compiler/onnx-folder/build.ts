import { GenerationError } from '../../../protocol/errors.ts';
import type { GraphOptions } from '../build-graph.ts';
import type { BuiltGraph, CompiledComponent, GraphShape } from '../model.ts';
import { adaptGraph } from './adapt.ts';
import { checkOperators } from './check-operators.ts';
import { onnxConfig } from './config.ts';
import { encodeOnnxFile } from './encode-graph.ts';
import { readOnnxFile } from './read-graph.ts';
import { GRAPH_ENTRY, shardPath } from './store.ts';

/** Reads bytes of a component's shard. */
export type ReadShard = (shard: number, offset: number, length: number) => Promise<Uint8Array>;

/**
 * The graph of a component that came as a ready-made one, for fixed sizes and with the boundary that
 * `buildGraph` documents; `shape.batch` is what `graphRows` says. Reads the stored graph, no weight.
 */
export async function buildOnnxGraph(
  component: CompiledComponent,
  shape: GraphShape,
  options: GraphOptions & { readonly hasShaderF16?: boolean },
  read: ReadShard,
): Promise<BuiltGraph> {
  const config = onnxConfig(component);
  const entry = component.weights[GRAPH_ENTRY];
  if (!config || !entry) {
    throw new GenerationError(
      'invalid-model',
      `The stored ${component.name} holds no graph. Delete it from the cache and load the model again.`,
    );
  }
  const bytes = await read(entry.shard, entry.offset, entry.sizeBytes);
  const model = await readOnnxFile({
    path: `${component.name}/model.onnx`,
    sizeBytes: bytes.byteLength,
    read: async (offset, length) => bytes.slice(offset, offset + length),
  });
  const { provider = 'wasm', hasShaderF16 = false } = options;
  checkOperators(`${component.name}/model.onnx`, model, { provider, hasShaderF16 });
  const adapted = adaptGraph(model, component.name, config, shape, options);
  return {
    onnx: encodeOnnxFile(adapted),
    shardPaths: component.shardSizes.map((_, shard) => shardPath(component.name, shard)),
  };
}
