import type { OnnxModel, OnnxNode } from '../../../web/compiler/onnx/model.ts';

/** The nodes that every run pays for: those that constants alone feed are folded when a session opens. */
export function runningNodes({ nodes, initializers }: OnnxModel): OnnxNode[] {
  const constants = new Set(['', ...initializers.map(({ name }) => name)]);
  return nodes.filter(({ inputs, outputs }) => {
    if (!inputs.every((input) => constants.has(input))) return true;
    for (const output of outputs) constants.add(output);
    return false;
  });
}
