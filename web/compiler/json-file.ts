import { invalidModel } from './errors.ts';
import type { ByteSource } from './model.ts';

const MEBIBYTE = 1024 * 1024;

/** Reads a whole text file of a model, refusing one larger than `maxBytes` before reading it. */
export async function readText(
  source: ByteSource,
  { maxBytes = MEBIBYTE, signal }: { maxBytes?: number; signal?: AbortSignal } = {},
): Promise<string> {
  if (source.sizeBytes > maxBytes) {
    throw invalidModel(
      source.path,
      `is ${source.sizeBytes} bytes long; at most ${maxBytes} are expected of such a file.`,
    );
  }
  const bytes = await source.read(0, source.sizeBytes, signal ? { signal } : {});
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalidModel(source.path, 'is not UTF-8 text. Download it again.', cause);
  }
}

/** Reads a JSON file that holds one object. */
export async function readJsonObject(
  source: ByteSource,
  options: { maxBytes?: number; signal?: AbortSignal } = {},
): Promise<Record<string, unknown>> {
  return parseJsonObject(source.path, await readText(source, options));
}

/** Parses JSON text that should be one object; errors name `file`. */
export function parseJsonObject(file: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalidModel(file, 'is not valid JSON. Download it again.', cause);
  }
  if (!isObject(value)) throw invalidModel(file, 'should hold one JSON object.');
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
