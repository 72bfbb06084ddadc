import type { GraphOptions } from '../../../web/compiler/build-graph.ts';
import { openCheckpoint } from '../../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../../web/compiler/compile.ts';
import type { CompiledModel, ComponentName, GraphShape } from '../../../web/compiler/model.ts';
import { buildOnnxGraph } from '../../../web/compiler/onnx-folder/build.ts';
import { type Files, toModel } from './onnx-folder.ts';
import { component, type Feeds, MemorySink, runOnnx } from './runtime.ts';

export interface CompiledFolder {
  readonly compiled: CompiledModel;
  readonly sink: MemorySink;
  run(
    name: ComponentName,
    shape: GraphShape,
    feeds: Feeds,
    options?: GraphOptions,
  ): ReturnType<typeof runOnnx>;
}

/** An ONNX folder through the compiler, ready to be run on the wasm provider. */
export async function compileFolder(files: Files, maxShardBytes?: number): Promise<CompiledFolder> {
  const sink = new MemorySink();
  const compiled = await compileCheckpoint(await openCheckpoint(toModel(files)), {
    ...{ precision: 'fp32', sink },
    ...(maxShardBytes === undefined ? {} : { maxShardBytes }),
  });
  return {
    compiled,
    sink,
    async run(name, shape, feeds, options = {}) {
      const part = component(compiled, name);
      const shards = sink.bytes(name);
      const { onnx, shardPaths } = await buildOnnxGraph(
        part,
        shape,
        options,
        async (shard, offset, length) => shards[shard]!.slice(offset, offset + length),
      );
      const externalData = shardPaths.map((path, index) => ({ path, data: shards[index]! }));
      return runOnnx(onnx, feeds, externalData);
    },
  };
}
