import { type ControlParams, controlParams } from '../../protocol/control.ts';
import { fixtureFiles } from '../compiler/lib/parts.ts';

/** The fixture ControlNet's files as a listed model's. */
export const controlnetFiles = async () => ({
  ...(await fixtureFiles(
    'controlnet-tiny/diffusion_pytorch_model.safetensors',
    'controlnet-tiny/config.json',
  )),
  ...{ kind: 'controlnet' as const, name: 'controlnet-tiny' },
});

/** A unit that asks for it. */
export const controlUnit = (change: Partial<ControlParams> = {}): ControlParams =>
  controlParams.parse({ model: 'controlnet-tiny', image: 'x', ...change });
