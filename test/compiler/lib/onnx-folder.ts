import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { convertElements, type FloatSourceDtype } from '../../../web/compiler/convert.ts';
import type { ByteSource, ModelFiles } from '../../../web/compiler/model.ts';
import { FLOAT16, tensorBytes } from '../../../web/compiler/onnx-folder/element-types.ts';
import { encodeOnnxFile } from '../../../web/compiler/onnx-folder/encode-graph.ts';
import type { OnnxFile, Tensor } from '../../../web/compiler/onnx-folder/graph.ts';
import { readOnnxFile } from '../../../web/compiler/onnx-folder/read-graph.ts';
import { readSafetensorsHeader } from '../../../web/compiler/safetensors.ts';
import { fileSource, MODELS, memorySource } from './files.ts';

/** Graphs that PyTorch's exporter made of the fixtures (test/fixtures/onnx/export.py). */
const GRAPHS = fileURLToPath(new URL('../../fixtures/onnx', import.meta.url));

export interface OnnxFolderOptions {
  /** Graphs of fixtures/onnx/variants in the place of the folder's own, by component. */
  readonly variants?: Readonly<Record<string, string>>;
  /** Files that a component's weights are spread over; the graph's own file at 0. */
  readonly dataFiles?: number;
  /** A last change of each graph, by component. */
  readonly change?: (component: string, model: OnnxFile) => OnnxFile;
  /** Paths to leave out. */
  readonly without?: RegExp;
}

export type Files = ReadonlyMap<string, Uint8Array>;

/** A model folder as optimum writes it, with the weights of the safetensors fixture of that name. */
export async function onnxFolder(
  model: 'sd15-tiny' | 'sdxl-tiny',
  { variants = {}, dataFiles = 1, change = (_, same) => same, without }: OnnxFolderOptions = {},
): Promise<Files> {
  const files = new Map<string, Uint8Array>();
  for (const component of readdirSync(join(GRAPHS, model))) {
    const variant = variants[component];
    const path = variant
      ? join(GRAPHS, 'variants', `${variant}.onnx.gz`)
      : join(GRAPHS, model, component, 'model.onnx.gz');
    const bytes = new Uint8Array(gunzipSync(readFileSync(path)));
    const graph = await readOnnxFile(memorySource(path, bytes));
    const source = component.startsWith('vae_') ? 'vae' : component;
    const weights = await readWeights(join(MODELS, model, source));
    const made = placeWeights(change(component, graph), weights, dataFiles);
    for (const [name, content] of made) files.set(`${component}/${name}`, content);
    files.set(`${component}/config.json`, readFileSync(join(MODELS, model, source, 'config.json')));
  }
  for (const folder of ['scheduler', 'tokenizer', 'tokenizer_2']) {
    for (const name of listed(join(MODELS, model, folder))) {
      files.set(`${folder}/${name}`, readFileSync(join(MODELS, model, folder, name)));
    }
  }
  const index = JSON.parse(readFileSync(join(MODELS, model, 'model_index.json'), 'utf8'));
  const pipeline = index._class_name.replace('StableDiffusion', 'ORTStableDiffusion');
  files.set('model_index.json', Buffer.from(JSON.stringify({ _class_name: pipeline })));
  return new Map([...files].filter(([path]) => !without?.test(path)));
}

export function toModel(files: Files, name = 'onnx'): ModelFiles {
  return { name, files: [...files].map(([path, bytes]) => memorySource(path, bytes)) };
}

/** Files that tell which of them were read. */
export function watched({ name, files }: ModelFiles): { model: ModelFiles; reads: string[] } {
  const reads: string[] = [];
  const watch = (file: ByteSource): ByteSource => ({
    ...file,
    read(offset, length, options) {
      reads.push(file.path);
      return file.read(offset, length, options);
    },
  });
  return { model: { name, files: files.map(watch) }, reads };
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

type Weights = (name: string, type: number) => Uint8Array;

async function readWeights(folder: string): Promise<Weights> {
  const file = readdirSync(folder).find((name) => name.endsWith('.safetensors'))!;
  const path = join(folder, file);
  const { tensors } = await readSafetensorsHeader(await fileSource(path, file));
  const bytes = readFileSync(path);
  return (name, type) => {
    const tensor = tensors.get(name) ?? tensors.get(`text_model.${name}`);
    if (!tensor) throw new Error(`${file} has no ${name}`);
    const own = Uint8Array.from(bytes.subarray(tensor.offset, tensor.offset + tensor.sizeBytes));
    const to = type === FLOAT16 ? 'float16' : 'float32';
    return convertElements(own, tensor.dtype as FloatSourceDtype, to).bytes;
  };
}

/** A graph's file with the files that its weights lie in. */
function placeWeights(
  model: OnnxFile,
  weights: Weights,
  dataFiles: number,
): Map<string, Uint8Array> {
  const pieces: Uint8Array[][] = Array.from({ length: dataFiles }, () => []);
  const sizes = new Array<number>(dataFiles).fill(0);
  const names = ['model.onnx_data', 'model.onnx_data_1', 'weights.pb'];
  const initializers = model.graph.initializers.map((tensor, place): Tensor => {
    if (tensor.data.type === 'inline') return tensor;
    const bytes = weights(tensor.name, tensor.type);
    if (bytes.byteLength !== tensorBytes(tensor.type, tensor.shape)) throw new Error(tensor.name);
    if (dataFiles === 0) return { ...tensor, data: { type: 'inline', bytes } };
    const file = place % dataFiles;
    const offset = sizes[file]!;
    pieces[file]!.push(bytes);
    sizes[file]! += bytes.byteLength;
    const part = { location: names[file]!, offset, sizeBytes: bytes.byteLength };
    return { ...tensor, data: { type: 'part', ...part } };
  });
  const file = encodeOnnxFile({ ...model, graph: { ...model.graph, initializers } });
  return new Map<string, Uint8Array>([
    ['model.onnx', file],
    ...pieces.map((each, index) => [names[index]!, new Uint8Array(Buffer.concat(each))] as const),
  ]);
}
