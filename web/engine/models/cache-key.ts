import { z } from 'zod';
import type { Precision } from '../../compiler/model.ts';
import { sha256Text } from './sha256.ts';

/** One source file's content. */
export const hashedFile = z.object({
  path: z.string().min(1).max(1000),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type HashedFile = z.infer<typeof hashedFile>;

/** Everything that a compiled model depends on. */
export interface CompiledKeyParts {
  readonly files: readonly HashedFile[];
  readonly precision: Precision;
  readonly compilerVersion: number;
  readonly runtimeVersion: string;
  /** Adapter features without which the compiled model does not run. */
  readonly features: readonly string[];
}

function sortedByPath(files: readonly HashedFile[]): HashedFile[] {
  return [...files].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/**
 * The checkpoint's own hash: of a single file its SHA-256, as A1111 shows it, whatever its `.yaml` says;
 * of a folder the SHA-256 of the lines `<sha256>  <path>\n` in order of path.
 */
export async function checkpointSha256(files: readonly HashedFile[]): Promise<string> {
  const weights = files.filter(({ path }) => !/\.ya?ml$/i.test(path));
  const [only] = weights;
  if (only && weights.length === 1) return only.sha256;
  return sha256Text(
    sortedByPath(files)
      .map(({ sha256, path }) => `${sha256}  ${path}\n`)
      .join(''),
  );
}

/** The key under which a compiled model is kept: equal parts give equal keys, whatever their order. */
export function compiledKey(parts: CompiledKeyParts): Promise<string> {
  return sha256Text(
    JSON.stringify({
      files: sortedByPath(parts.files).map(({ path, sha256 }) => [path, sha256]),
      precision: parts.precision,
      compiler: parts.compilerVersion,
      runtime: parts.runtimeVersion,
      features: [...parts.features].sort(),
    }),
  );
}
