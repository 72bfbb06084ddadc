import type { ModelListing } from '../../../protocol/catalog.ts';
import type { ControlParams } from '../../../protocol/control.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import { activationDtype } from '../../compiler/component.ts';
import type { CompiledModel } from '../../compiler/model.ts';
import { type ControlnetConfig, residualShapes } from '../../compiler/models/controlnet.ts';
import type { UnetConfig } from '../../compiler/models/unet.ts';
import type { Companion, CompanionOptions, Companions } from '../models/companions.ts';

/** A unit of a job and its ControlNet, loaded. */
export interface ControlnetUse {
  readonly unit: ControlParams;
  readonly net: Companion;
}

export interface ControlnetSurroundings extends Omit<CompanionOptions, 'description'> {
  readonly checkpoint: CompiledModel;
  readonly listings: readonly ModelListing[];
  readonly companions: Pick<Companions, 'controlnet'>;
}

/**
 * Loads the ControlNets of a job's units, in the precision of the checkpoint's UNet. Units without weight are left out.
 * Rejects with `not-found` for a name that no file has, and with `invalid-model` or `unsupported` for a ControlNet
 * that does not go with the checkpoint.
 */
export async function loadControlnets(
  units: readonly ControlParams[],
  { checkpoint, listings, companions, ...options }: ControlnetSurroundings,
): Promise<ControlnetUse[]> {
  const uses: ControlnetUse[] = [];
  const unet = checkpoint.components.find(({ name }) => name === 'unet');
  for (const unit of units.filter(({ weight }) => weight !== 0)) {
    if (unet?.config.type !== 'unet') {
      throw new GenerationError(
        'unsupported',
        'This checkpoint’s UNet is a ready-made graph that takes no ControlNet. Choose another checkpoint, or leave the ControlNet units out.',
      );
    }
    const net = await companions.controlnet(findControlnet(unit.model, listings), {
      ...{ ...options, description: checkpoint.description },
      form: { precision: unet.precision, activations: activationDtype(unet) },
    });
    assertGoesWith(net, unet.config as unknown as UnetConfig, checkpoint);
    uses.push({ unit, net });
  }
  return uses;
}

/** By its name, in any case where none is exact. */
function findControlnet(name: string, listings: readonly ModelListing[]): ModelListing {
  const nets = listings.filter(({ kind }) => kind === 'controlnet');
  const lower = name.toLowerCase();
  const found =
    nets.find((listing) => listing.name === name) ??
    nets.find((listing) => listing.name.toLowerCase() === lower);
  if (found) return found;
  const there = nets.map((listing) => listing.name).join(', ');
  throw new GenerationError(
    'not-found',
    `There is no ControlNet "${name.slice(0, 200)}". ${there ? `There are: ${there.slice(0, 500)}.` : 'Put one into models/ControlNet.'}`,
  );
}

/** A ControlNet gives what one architecture's UNets take. */
function assertGoesWith(
  { name, component }: Companion,
  unet: UnetConfig,
  { description }: CompiledModel,
): void {
  const config = component.config as unknown as ControlnetConfig;
  const shapes = ({ down }: UnetConfig) => JSON.stringify(residualShapes({ down }, 64, 64));
  const problem =
    config.unet.contextSize !== unet.contextSize
      ? `it reads texts of ${config.unet.contextSize} channels, the checkpoint's have ${unet.contextSize}`
      : shapes(config.unet) !== shapes(unet)
        ? 'its blocks are not those of the checkpoint’s UNet'
        : config.unet.inChannels !== description.latentChannels
          ? `it takes latents of ${config.unet.inChannels} channels, the checkpoint's have ${description.latentChannels}`
          : config.hintChannels !== 3
            ? `its control picture has ${config.hintChannels} channels instead of three`
            : null;
  if (problem === null) return;
  throw new GenerationError(
    'invalid-model',
    `The ControlNet ${name} does not go with this checkpoint: ${problem}. Choose one that was made for the same family.`,
  );
}
