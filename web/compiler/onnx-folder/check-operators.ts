import { unsupportedModel } from '../errors.ts';
import type { Provider } from '../onnx/graph-builder.ts';
import { FLOAT16, typeName } from './element-types.ts';
import { allNodes, allTensors, type Node, type OnnxFile } from './graph.ts';
import { hasOperator, NOT_ON_WEBGPU } from './operators.ts';

/** What of the device decides whether it runs a graph. */
export interface TargetDevice {
  readonly provider: Provider;
  readonly hasShaderF16: boolean;
}

/** Operators named in an error; a graph for another runtime has hundreds. */
const MAX_NAMED = 6;

/** What exporters for other runtimes leave in graphs, and what to do about it. */
const ADVICE: Readonly<Record<string, string>> = {
  GroupNorm: "It was optimised for CUDA: export it without the optimiser's GroupNorm fusion.",
  SkipGroupNorm: "It was optimised for CUDA: export it without the optimiser's GroupNorm fusion.",
  NhwcConv: 'It was optimised for CUDA: export it without the optimiser’s NHWC layout.',
  BiasAdd: 'Only WebGPU has it: choose a device with WebGPU.',
  BiasSplitGelu: 'Only WebGPU has it: choose a device with WebGPU.',
};
const GENERAL_ADVICE =
  'Look for an export for WebGPU or the processor, or use the checkpoint as .safetensors.';

/**
 * Refuses a graph that the device cannot run, naming every operator or element type that it lacks; reads
 * no weight. Without a device the graph must run on some.
 */
export function checkOperators(
  file: string,
  { graph, opsets }: OnnxFile,
  device: TargetDevice | undefined,
): void {
  const providers: readonly Provider[] = device ? [device.provider] : ['webgpu', 'wasm'];
  const missing = new Map<string, string>();
  for (const node of allNodes(graph)) {
    const { domain, opType } = node;
    if (providers.some((provider) => hasOperator(provider, domain, opType))) continue;
    missing.set(`${opType}${domain === '' ? '' : ` (${domain})`}`, opType);
  }
  if (missing.size > 0) throw lacks(file, [...missing.keys()], [...missing.values()]);
  const packed = [...allNodes(graph)].find(isPackedAttention);
  if (packed) {
    throw unsupportedModel(
      file,
      `packs query, key and value of its attention into one tensor (node "${packed.name}"), which the runtime refuses when it runs. Export it with the optimiser's packed QKV and packed KV off.`,
    );
  }
  if (!opsets.some(({ domain }) => domain === '')) {
    throw unsupportedModel(file, "does not say which version of ONNX's operators it uses.");
  }
  if (device) checkTypes(file, graph, device);
}

function lacks(file: string, shown: readonly string[], names: readonly string[]): Error {
  const more = shown.length - MAX_NAMED;
  const list = shown.slice(0, MAX_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
  const advice = names.map((name) => ADVICE[name]).find((text) => text !== undefined);
  return unsupportedModel(
    file,
    `uses ${shown.length === 1 ? 'an operator' : 'operators'} that the runtime does not have on this device: ${list}. ${advice ?? GENERAL_ADVICE}`,
  );
}

function checkTypes(file: string, graph: OnnxFile['graph'], device: TargetDevice): void {
  if (device.provider !== 'webgpu') return;
  const types = new Set([
    ...[...allTensors(graph)].map(({ type }) => type),
    ...[...graph.inputs, ...graph.outputs].map(({ type }) => type),
    ...[...allNodes(graph)].flatMap(castType),
  ]);
  const unknown = [...types].find((type) => NOT_ON_WEBGPU.has(type));
  if (unknown !== undefined) {
    throw unsupportedModel(
      file,
      `computes with ${typeName(unknown)}, which WebGPU has no kernels for. Export it in float32 or float16, or choose the device wasm.`,
    );
  }
  if (types.has(FLOAT16) && !device.hasShaderF16) {
    throw unsupportedModel(
      file,
      'is in half precision (float16), and the graphics adapter has no arithmetic for it (shader-f16). Use an export in float32, or choose the device wasm.',
    );
  }
}

function castType({ opType, attributes }: Node): number[] {
  const to = attributes.find(({ name }) => name === 'to');
  return opType === 'Cast' && to?.kind === 'int' ? [to.int] : [];
}

/** MultiHeadAttention with query, key and value in one tensor, or key and value. */
function isPackedAttention({ domain, opType, inputs }: Node): boolean {
  if (domain !== 'com.microsoft' || opType !== 'MultiHeadAttention') return false;
  return (inputs[1] ?? '') === '' || (inputs[2] ?? '') === '';
}
