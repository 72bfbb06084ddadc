import type { CheckpointComponent } from '../checkpoint.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import type { ByteSource, ComponentName, ModelFiles, Precision } from '../model.ts';
import { checkOperators, type TargetDevice } from './check-operators.ts';
import type { OnnxGraphConfig } from './config.ts';
import { FLOAT16, FLOAT32, tensorBytes } from './element-types.ts';
import { dataFile } from './files.ts';
import { allNodes, type Node, type OnnxFile, type Tensor } from './graph.ts';
import { findPorts } from './ports.ts';
import { readOnnxFile } from './read-graph.ts';
import { repairModel, withFloatTimestep } from './repair.ts';

/** A ready-made graph, repaired, with the files that its weights lie in. */
export interface OnnxGraph {
  readonly file: ByteSource;
  readonly model: OnnxFile;
  /** By a tensor's `location`. */
  readonly data: ReadonlyMap<string, ByteSource>;
  /** What the weights are mostly stored as. */
  readonly precision: Precision;
  /** Bytes of the weights that lie in files, there and as they are stored. */
  readonly sourceBytes: number;
  readonly weightBytes: number;
}

/** A component of a checkpoint that is a ready-made graph. */
export interface OnnxComponent extends CheckpointComponent {
  readonly config: OnnxGraphConfig;
  readonly onnx: OnnxGraph;
}

export interface OpenGraphOptions {
  readonly device?: TargetDevice | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads one component's graph: checks operators and types before anything of the weights is read, repairs
 * what is cheap to repair, and checks that every weight is where the graph says.
 */
export async function openGraph(
  files: ModelFiles,
  name: ComponentName,
  file: ByteSource,
  { device, signal }: OpenGraphOptions,
): Promise<OnnxComponent> {
  const read = await readOnnxFile(file, { signal });
  const repaired = repairModel(read, name);
  checkOperators(file.path, repaired, device);
  const first = findPorts(file.path, name, repaired.graph);
  const time = first.inputs.find(({ role }) => role === 'timestep');
  const floating = time && withFloatTimestep(repaired.graph, time.name);
  const model = floating ? { ...repaired, graph: floating } : repaired;
  const { inputs, outputs } = floating ? findPorts(file.path, name, floating) : first;
  for (const { attributes } of allNodes(model.graph)) {
    const outside = attributes.find((each) => each.kind === 'tensor' && isOutside(each.tensor));
    if (!outside) continue;
    throw unsupportedModel(
      file.path,
      `keeps the constant of an attribute ("${outside.name}") in another file. Save the model with its weights as initializers.`,
    );
  }
  const data = new Map<string, ByteSource>();
  let [sourceBytes, weightBytes] = [0, 0];
  for (const tensor of model.graph.initializers) {
    if (tensor.data.type === 'inline') continue;
    const { location, offset, sizeBytes } = tensor.data;
    const source = data.get(location) ?? dataFile(files, file, location);
    data.set(location, source);
    if (offset + sizeBytes > source.sizeBytes) {
      throw invalidModel(
        source.path,
        `is cut off: the weight "${tensor.name}" ends at ${offset + sizeBytes} of ${source.sizeBytes} bytes. Download it again.`,
      );
    }
    sourceBytes += sizeBytes;
    weightBytes += tensorBytes(tensor.type, tensor.shape);
  }
  const table = tokenTable(model);
  const config: OnnxGraphConfig = {
    type: 'onnx',
    ...{
      inputs,
      outputs,
      multiple: name === 'unet' ? upsampling(model) : 1,
      vaeFactor: 8,
      scalingFactor: 1,
      shiftFactor: 0,
      layers: 0,
    },
    tokenRows: table && { name: table.output, type: table.tensor.type },
  };
  const precision = storedPrecision(model);
  const onnx = { file, model, data, precision, sourceBytes, weightBytes };
  return { name, config, tensors: new Map(), onnx };
}

function isOutside({ data }: Tensor): boolean {
  return data.type === 'part';
}

/** The table that a text encoder looks tokens up in. */
export function tokenTable({ graph }: OnnxFile): { tensor: Tensor; output: string } | null {
  const tables = new Map(graph.initializers.map((tensor) => [tensor.name, tensor]));
  // The largest table that is looked up: positions are one as well, of 77 rows.
  let found: { tensor: Tensor; output: string } | null = null;
  for (const { opType, inputs, outputs } of graph.nodes) {
    const tensor = opType === 'Gather' ? tables.get(inputs[0] ?? '') : undefined;
    const [output] = outputs;
    const isFloat = tensor?.type === FLOAT32 || tensor?.type === FLOAT16;
    if (!tensor || !isFloat || output === undefined || tensor.shape.length !== 2) continue;
    const rows = tensor.shape[0] ?? 0;
    if (rows > (found?.tensor.shape[0] ?? 0)) found = { tensor, output };
  }
  return found;
}

/**
 * How often a UNet doubles its latents on the way up: exporters write down that it does, and not to which
 * size, so what was halved on the way down must have been even each time.
 */
function upsampling({ graph }: OnnxFile): number {
  const doublings = graph.nodes.filter(
    ({ opType, inputs }) => opType === 'Resize' && (inputs[2] ?? '') !== '' && !inputs[3],
  );
  return 2 ** Math.min(doublings.length, MAX_LEVELS);
}

const MAX_LEVELS = 5;

/** What the graph's weights are, in the words for our own. */
function storedPrecision({ graph }: OnnxFile): Precision {
  const bits = new Set([...allNodes(graph)].map(codeBits));
  if (bits.has(4)) return 'q4';
  if (bits.has(8)) return 'q8';
  const bytes = (type: number) =>
    graph.initializers
      .filter((tensor) => tensor.type === type)
      .reduce((sum, tensor) => sum + tensorBytes(tensor.type, tensor.shape), 0);
  return bytes(FLOAT16) > bytes(FLOAT32) ? 'fp16' : 'fp32';
}

const INTEGER_OPS =
  /^(DequantizeLinear|QLinear\w+|MatMulInteger\w*|ConvInteger|DynamicQuantizeMatMul|QGemm|QAttention)$/;

function codeBits({ opType, attributes }: Node): number | null {
  if (opType === 'MatMulNBits' || opType === 'GatherBlockQuantized') {
    const bits = attributes.find(({ name }) => name === 'bits');
    return bits?.kind === 'int' ? bits.int : 4;
  }
  return INTEGER_OPS.test(opType) ? 8 : null;
}
