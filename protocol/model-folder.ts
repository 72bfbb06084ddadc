/**
 * Which files of a folder make a model: bridge, page and compiler go by the same rule. Graphs of ONNX keep
 * weights beside them under names of several exporters: `model.onnx_data`, `model.onnx_data_1`,
 * `model.onnx.data`, `weights.pb`.
 */
const MODEL_FILE = /\.(safetensors|json|txt|onnx|onnx[._]data(_\d+)?|data|pb)$/i;

/** Whether a file may be part of a model folder: configurations, vocabularies, weights; never pickles. */
export function isModelFile(path: string): boolean {
  return MODEL_FILE.test(path);
}

/**
 * Whether files, by their paths below their folder, are a checkpoint of ready-made ONNX graphs: the UNet is
 * a graph and has no weights as safetensors beside it. Of a folder with both the weights are used, of
 * which more can be made.
 */
export function isOnnxFolder(paths: readonly string[]): boolean {
  const inUnet = paths.filter((path) => /^unet\/[^/]+$/i.test(path));
  const has = (ending: RegExp) => inUnet.some((path) => ending.test(path));
  return has(/\.onnx$/i) && !has(/\.safetensors$/i);
}
