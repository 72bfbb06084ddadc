import type { ModelListing } from '../../../protocol/catalog.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import { fitVae, openVae, type VaePlace } from '../../compiler/layouts/vae-file.ts';
import type { CompiledComponent, CompiledModel } from '../../compiler/model.ts';
import { type AutoencoderKlConfig, vaeFactor } from '../../compiler/models/autoencoder-kl.ts';
import { type LoadOptions, loadCompiled } from './checkpoint-loader.ts';
import type { Manifest } from './manifest.ts';

/**
 * The compiled form of a stand-alone VAE, kept under its own files' hashes: compiled once, whatever the
 * checkpoints it is used with. Rejects with `invalid-model` where it does not fit the checkpoint, before
 * a weight is read.
 */
export function loadCompiledVae(
  listing: ModelListing,
  checkpoint: CompiledModel,
  options: Omit<LoadOptions, 'choosePrecision' | 'open'>,
): Promise<Manifest> {
  return loadCompiled(listing, {
    ...options,
    // At every precision of the rest: `componentPrecision` keeps VAEs in float32.
    choosePrecision: () => ({
      ...{ precision: 'fp32', activations: 'float32', isReduced: false },
      reason: 'VAEs are used in fp32.',
    }),
    async open(files, { signal }) {
      const { components, sources } = await openVae(files, { signal });
      for (const { config } of components)
        fitVae(listing.name, config as AutoencoderKlConfig, placeOf(checkpoint));
      // The description is that of the checkpoint at hand; what it says of scaling is set when they are joined.
      const { description } = checkpoint;
      return { name: listing.name, description, components, sources };
    },
  });
}

/** A checkpoint with another VAE in the place of its own. Throws `invalid-model` where it does not fit. */
export function withVae(
  checkpoint: CompiledModel,
  vae: CompiledModel,
  vaeName: string,
): CompiledModel {
  const place = placeOf(checkpoint);
  let factor = checkpoint.description.vaeFactor;
  const kept = checkpoint.components.filter(({ name }) => !isVae(name));
  const taken = vae.components
    .filter(({ name }) => isVae(name))
    .map((component): CompiledComponent => {
      const config = component.config as unknown as AutoencoderKlConfig;
      factor = vaeFactor(config);
      return { ...component, config: fitVae(vaeName, config, place) };
    });
  const description = { ...checkpoint.description, vaeFactor: factor };
  return { description, components: [...kept, ...taken] };
}

/** The place that a VAE takes in a checkpoint: its own VAE's, or what the UNet's latents ask for. */
function placeOf({ description, components }: CompiledModel): VaePlace {
  return components.some(({ name }) => isVae(name))
    ? description
    : { ...description, vaeFactor: null };
}

/**
 * Throws `invalid-model` for a checkpoint that has no VAE where none was chosen in its place; `vaes` are
 * the names of those that could be.
 */
export function requireVae(
  { components }: { readonly components: readonly { readonly name: string }[] },
  { name }: Pick<ModelListing, 'name'>,
  vaes: readonly string[],
): void {
  if (components.some((part) => part.name === 'vae_decoder')) return;
  const choice =
    vaes.length > 0
      ? `Choose one (there are ${vaes.slice(0, 8).join(', ')})`
      : 'Put one into the VAE folder or drop it on the page under Models, and choose it';
  throw new GenerationError(
    'invalid-model',
    `${name} holds no VAE, without which latents do not become pictures. ${choice}: as sd_vae in the options, by --custom-vae at the start, or by the file name ${name}.vae.safetensors, which is taken by itself.`,
  );
}

/** Whether a component is part of the VAE. */
export function isVae(name: CompiledComponent['name']): boolean {
  return name === 'vae_encoder' || name === 'vae_decoder';
}
