import type { ComponentConfig } from '../component.ts';
import { planWeights } from '../component.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import type { ComponentName } from '../model.ts';
import type { SourceTensor } from '../safetensors.ts';
import type { WeightSpec } from '../weights.ts';

/** Element types that weights are converted from. */
const FLOATS: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16']);

/** How errors speak of a layout. */
export interface LayoutWords {
  /** The file's own name of a weight. */
  readonly nameOf: (name: string) => string;
  /** Where the expected shapes come from. */
  readonly basis: string;
  /** Why a tensor that nothing asks for is refused. */
  readonly leftOver: string;
}

const FOLDER_WORDS: LayoutWords = {
  nameOf: (name) => name,
  basis: 'by the configuration',
  leftOver: 'which the configuration beside it has no use for',
};

/**
 * Checks a component's tensors against what its graphs ask for: all there, of the right shape and
 * type, and none left over. Errors name the file and the tensor.
 */
export function checkWeights(
  place: string,
  tensors: ReadonlyMap<string, SourceTensor>,
  components: readonly { readonly name: ComponentName; readonly config: ComponentConfig }[],
  words: LayoutWords = FOLDER_WORDS,
): void {
  const wanted = new Set<string>();
  for (const { name, config } of components) {
    for (const spec of planWeights(name, config)) {
      for (const part of spec.parts) {
        wanted.add(part);
        checkTensor(place, part, tensors.get(part), spec, words);
      }
    }
  }
  for (const [name, { file }] of tensors) {
    if (!wanted.has(name)) {
      throw unsupportedModel(
        file.path,
        `holds the tensor "${words.nameOf(name)}", ${words.leftOver}.`,
      );
    }
  }
}

function checkTensor(
  place: string,
  part: string,
  tensor: SourceTensor | undefined,
  spec: WeightSpec,
  { nameOf, basis }: LayoutWords,
): void {
  const name = nameOf(part);
  const [first = 0, ...rest] = spec.shape;
  const expected = [first / spec.parts.length, ...rest];
  if (!tensor) {
    throw invalidModel(place, `tensor "${name}" [${expected.join(', ')}] is missing.`);
  }
  const found = `${tensor.dtype} [${tensor.shape.join(', ')}]`;
  if (withoutTrailingOnes(tensor.shape).join() !== withoutTrailingOnes(expected).join()) {
    throw invalidModel(
      tensor.file.path,
      `tensor "${name}" should be [${expected.join(', ')}] ${basis}, but is ${found}.`,
    );
  }
  if (!FLOATS.has(tensor.dtype)) {
    throw unsupportedModel(
      tensor.file.path,
      `tensor "${name}" is ${found}; weights are read from F64, F32, F16 and BF16.`,
    );
  }
}

/** A 1×1 convolution and a linear layer hold the same numbers. */
function withoutTrailingOnes(shape: readonly number[]): readonly number[] {
  let length = shape.length;
  while (length > 1 && shape[length - 1] === 1) length--;
  return shape.slice(0, length);
}
