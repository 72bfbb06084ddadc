import type { ModelListing } from '../../../protocol/catalog.ts';
import { fitVae, openVae } from '../../compiler/layouts/vae-file.ts';
import type { CompiledComponent, CompiledModel, ModelDescription } from '../../compiler/model.ts';
import type { AutoencoderKlConfig } from '../../compiler/models/autoencoder-kl.ts';
import { type LoadOptions, loadCompiled } from './checkpoint-loader.ts';
import type { Manifest } from './manifest.ts';

/**
 * The compiled form of a stand-alone VAE, kept under its own files' hashes: compiled once, whatever the
 * checkpoints it is used with. Rejects with `invalid-model` where it does not fit the checkpoint, before
 * a weight is read.
 */
export function loadCompiledVae(
  listing: ModelListing,
  description: ModelDescription,
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
        fitVae(listing.name, config as AutoencoderKlConfig, description);
      // The description is that of the checkpoint at hand; what it says of scaling is set when they are joined.
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
  const { description } = checkpoint;
  const kept = checkpoint.components.filter(({ name }) => !isVae(name));
  const taken = vae.components
    .filter(({ name }) => isVae(name))
    .map((component): CompiledComponent => {
      const config = component.config as unknown as AutoencoderKlConfig;
      return { ...component, config: fitVae(vaeName, config, description) };
    });
  return { description, components: [...kept, ...taken] };
}

/** Whether a component is part of the VAE. */
export function isVae(name: CompiledComponent['name']): boolean {
  return name === 'vae_encoder' || name === 'vae_decoder';
}
