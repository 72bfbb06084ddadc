import { GenerationError } from '../../protocol/errors.ts';

/** The model's files are broken: which one, what was expected, what was found. */
export function invalidModel(file: string, problem: string, cause?: unknown): GenerationError {
  return new GenerationError('invalid-model', `${file}: ${problem}`, { cause });
}

/** The files are in order, but hold something the compiler does not know. */
export function unsupportedModel(file: string, problem: string): GenerationError {
  return new GenerationError('unsupported', `${file}: ${problem}`);
}
