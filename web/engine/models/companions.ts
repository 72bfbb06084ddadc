import type { ModelListing } from '../../../protocol/catalog.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import { openControlnet } from '../../compiler/layouts/controlnet-file.ts';
import type { ModelParts } from '../../compiler/layouts/parts.ts';
import { openTaesd } from '../../compiler/layouts/taesd-file.ts';
import type {
  CompiledComponent,
  ComponentName,
  ModelDescription,
  ModelFiles,
} from '../../compiler/model.ts';
import type { TaesdConfig } from '../../compiler/models/taesd.ts';
import { type LoadOptions, loadCompiled } from './checkpoint-loader.ts';
import type { StoredForm } from './compiled-size.ts';
import type { Manifest } from './manifest.ts';
import type { ModelStore } from './model-store.ts';
import { sourceIdentity } from './sources.ts';

/** A network that works beside a checkpoint: a ControlNet, one half of a TAESD. */
export interface Companion {
  readonly name: string;
  /** Tells it from every other one, with its precision. */
  readonly key: string;
  readonly component: CompiledComponent;
  shards(): Promise<Blob[]>;
}

export interface CompanionOptions
  extends Omit<LoadOptions, 'store' | 'choosePrecision' | 'open' | 'sources'> {
  /** The checkpoint that it is to work beside. */
  readonly description: ModelDescription;
}

/** Compiled companions, kept in the store like checkpoints: each once, whatever the checkpoint. */
export interface Companions {
  /** A ControlNet. Rejects with `invalid-model` or `unsupported` for a file that is none. */
  controlnet(
    listing: ModelListing,
    options: CompanionOptions & { readonly form: StoredForm },
  ): Promise<Companion>;
  /** One half of a TAESD; null where the files hold the other one alone. */
  taesd(
    listing: ModelListing,
    half: 'taesd_encoder' | 'taesd_decoder',
    options: CompanionOptions,
  ): Promise<Companion | null>;
  /** True while one of those in memory is made of this compiled model. */
  uses(key: string): boolean;
  /** Lets all of them be deleted; the next call reads the store again. */
  release(): void;
}

interface Kept {
  readonly manifest: Manifest;
  readonly release: () => void;
}

export function createCompanions(
  sources: LoadOptions['sources'],
  store: () => Promise<ModelStore>,
): Companions {
  const kept = new Map<string, Kept>();

  async function load(
    listing: ModelListing,
    open: (files: ModelFiles, options: { signal?: AbortSignal }) => Promise<ModelParts>,
    form: StoredForm,
    { description, ...options }: CompanionOptions,
  ): Promise<Manifest> {
    const identity = JSON.stringify([sourceIdentity(listing), options.runtimeVersion, form]);
    const known = kept.get(identity);
    if (known) return known.manifest;
    const models = await store();
    const manifest = await loadCompiled(listing, {
      ...options,
      sources,
      store: models,
      choosePrecision: () => ({
        ...form,
        isReduced: false,
        reason: 'It works beside a checkpoint.',
      }),
      async open(files, openOptions) {
        const { components, sources: read } = await open(files, openOptions);
        // The description stands for no more than that there has to be one.
        return { name: listing.name, description, components, sources: read };
      },
    });
    kept.set(identity, { manifest, release: await models.use(manifest.key) });
    return manifest;
  }

  async function companion(
    { name }: ModelListing,
    manifest: Manifest,
    part: ComponentName,
  ): Promise<Companion | null> {
    const component = manifest.model.components.find((each) => each.name === part);
    if (!component) return null;
    const shards = async () => (await store()).shards(manifest, component);
    return { name, key: `${manifest.key} ${part}`, component, shards };
  }

  return {
    async controlnet(listing, { form, ...options }) {
      const manifest = await load(listing, openControlnet, form, options);
      const found = await companion(listing, manifest, 'controlnet');
      if (found) return found;
      throw new GenerationError('invalid-model', `${listing.name} holds no ControlNet.`);
    },
    async taesd(listing, half, options) {
      // At every precision of the rest, as VAEs.
      const form = { precision: 'fp32', activations: 'float32' } as const;
      const manifest = await load(listing, openTaesd, form, options);
      const found = await companion(listing, manifest, half);
      const { latentChannels } = (found?.component.config ?? {}) as Partial<TaesdConfig>;
      const wanted = options.description.latentChannels;
      if (!found || latentChannels === wanted) return found;
      throw new GenerationError(
        'invalid-model',
        `The TAESD ${listing.name} is for latents of ${latentChannels} channels, the checkpoint's have ${wanted}.`,
      );
    },
    uses: (key) => [...kept.values()].some(({ manifest }) => manifest.key === key),
    release() {
      for (const { release } of kept.values()) release();
      kept.clear();
    },
  };
}
