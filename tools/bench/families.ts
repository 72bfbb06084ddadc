import { join } from 'node:path';
import { MemorySink } from '../../test/compiler/lib/runtime.ts';
import { ROOT } from '../../test/e2e/support/bridge.ts';
import { folderFiles } from '../../test/fakes/file-source.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { CompiledModel } from '../../web/compiler/model.ts';

/** Where `export_onnx.py` put what our graphs are compared with; null without EASEL_EXPORTED_ONNX. */
export const EXPORTS: string | null = process.env.EASEL_EXPORTED_ONNX ?? null;

/** The checkpoints compared: one of each family, and one of Stable Diffusion 1.5's widths that the export brings. */
export interface BenchFamily {
  readonly name: string;
  readonly folder: string;
  /** Side of the latents in a timed pass. */
  readonly side: number;
  /** Passes timed. */
  readonly runs: number;
}

export function benchFamilies(): BenchFamily[] {
  const tiny = ['sd15-tiny', 'sd2-tiny', 'sdxl-tiny'].map((name) => ({
    name,
    folder: join(ROOT, 'test/fixtures/models', name),
    side: 16,
    runs: 60,
  }));
  if (!EXPORTS) return tiny;
  return [
    ...tiny,
    { name: 'sd15-wide', folder: join(EXPORTS, 'sd15-wide/model'), side: 32, runs: 5 },
  ];
}

export async function compileFamily({
  name,
  folder,
}: BenchFamily): Promise<{ model: CompiledModel; sink: MemorySink }> {
  const sink = new MemorySink();
  const checkpoint = await openCheckpoint(folderFiles(folder, name));
  return { model: await compileCheckpoint(checkpoint, { precision: 'fp32', sink }), sink };
}
