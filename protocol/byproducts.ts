import { z } from 'zod';

/** Pictures that a job has on its way and that a client may want beside the finished ones, by A1111's options for them. */
export const BYPRODUCT_KINDS = [
  'control-map',
  'mask',
  'mask-composite',
  'before-highres-fix',
  'before-color-correction',
] as const;
export type ByproductKind = (typeof BYPRODUCT_KINDS)[number];

/** Byproducts of one picture: the maps of all ControlNet units at two sizes, and one of each other kind. */
const MAX_BYPRODUCTS = 32;

export const byproduct = z.object({
  kind: z.enum(BYPRODUCT_KINDS),
  /** Preprocessor of a control map; empty for the others. */
  module: z.string().max(100).default(''),
  format: z.enum(['png', 'jpg', 'webp']),
  /** Base64 of the whole file, without an infotext. */
  data: z.string().min(1),
});
export type Byproduct = z.infer<typeof byproduct>;

export const byproducts = z.array(byproduct).max(MAX_BYPRODUCTS);
