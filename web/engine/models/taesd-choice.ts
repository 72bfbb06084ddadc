import type { ModelListing } from '../../../protocol/catalog.ts';
import type { ModelFamily } from '../../compiler/model.ts';

export type TaesdHalf = 'taesd_encoder' | 'taesd_decoder';

/** TAESDs for latents of other models than Stable Diffusion 1, 2 and XL. */
const FOREIGN = /taesd3|taef\d|taesana|taehv/;

/**
 * The listing that holds this half of the TAESD for a family's latents. TAESD and TAESDXL have the same shapes, so
 * the name tells, as in A1111 (`taesd_decoder`, `taesdxl_decoder`); a folder or a file with both halves has neither
 * half in its name. Null without one.
 */
export function chooseTaesd(
  family: ModelFamily,
  half: TaesdHalf,
  listings: readonly ModelListing[],
): ModelListing | null {
  const other = half === 'taesd_decoder' ? 'encoder' : 'decoder';
  const own = half === 'taesd_decoder' ? 'decoder' : 'encoder';
  const fitting = listings.filter(({ kind, name }) => {
    const lower = name.toLowerCase();
    if (kind !== 'taesd' || FOREIGN.test(lower)) return false;
    return lower.includes('xl') === (family === 'sdxl') && !lower.includes(other);
  });
  return fitting.find(({ name }) => name.toLowerCase().includes(own)) ?? fitting[0] ?? null;
}
