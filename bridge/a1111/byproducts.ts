import type { ByproductKind } from '../../protocol/byproducts.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { JobImage } from '../../protocol/job.ts';
import type { Options } from './options.ts';

/** Options that save a byproduct beside its picture. */
const SAVED: Readonly<Record<string, ByproductKind>> = {
  save_images_before_highres_fix: 'before-highres-fix',
  save_images_before_color_correction: 'before-color-correction',
  save_mask: 'mask',
  save_mask_composite: 'mask-composite',
  control_net_detectmap_autosaving: 'control-map',
};

/** Options that put a byproduct behind its picture into the reply. */
const RETURNED: Readonly<Record<string, ByproductKind>> = {
  return_mask: 'mask',
  return_mask_composite: 'mask-composite',
};

function kindsOf(options: Options, kinds: Readonly<Record<string, ByproductKind>>) {
  return Object.entries(kinds).flatMap(([key, kind]) => (options[key] === true ? [kind] : []));
}

/** What is saved beside the pictures. */
export function savedByproducts(options: Options): ByproductKind[] {
  return kindsOf(options, SAVED);
}

/** What a reply shows; of control maps, which come last, all unless the option says no. */
export function returnedByproducts(options: Options): ByproductKind[] {
  const kinds = kindsOf(options, RETURNED);
  return options.control_net_no_detectmap === true ? kinds : [...kinds, 'control-map'];
}

/** Whether a job can have such a byproduct at all. */
function isPossible(kind: ByproductKind, params: GenerationParams): boolean {
  switch (kind) {
    case 'control-map':
      return params.controls.length > 0;
    case 'mask':
    case 'mask-composite':
      return params.inpaint !== null || params.outpaint !== null;
    case 'before-highres-fix':
      return params.hires !== null;
    case 'before-color-correction':
      return params.correctsColors;
    default:
      return kind satisfies never;
  }
}

/** A job with the byproducts that are wanted of it. */
export function withByproducts(
  params: GenerationParams,
  wanted: readonly ByproductKind[],
): GenerationParams {
  const byproducts = [...new Set(wanted)].filter((kind) => isPossible(kind, params));
  return byproducts.length === 0 ? params : { ...params, byproducts };
}

/** A reply's pictures as A1111 and sd-webui-controlnet put them: masks behind their picture, control maps behind all. */
export function shownPictures(
  images: readonly JobImage[],
  shown: readonly ByproductKind[],
): string[] {
  const ofKinds = ({ byproducts = [] }: JobImage, kinds: readonly ByproductKind[]) =>
    byproducts.filter(({ kind }) => kinds.includes(kind)).map(({ data }) => data);
  const beside = shown.filter((kind) => kind !== 'control-map');
  const maps = shown.filter((kind) => kind === 'control-map');
  return [
    ...images.flatMap((image) => [image.data, ...ofKinds(image, beside)]),
    ...images.flatMap((image) => ofKinds(image, maps)),
  ];
}
