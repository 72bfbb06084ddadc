import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { describeReferences } from './lib/family-suite.ts';
import { folderFiles, MODELS } from './lib/files.ts';
import { replaceFolder } from './lib/overlay.ts';

/** The inpainting UNet in the place of sd15-tiny's, which it shares text encoder and VAE with. */
const open = async () => {
  const whole = await folderFiles(join(MODELS, 'sd15-tiny'));
  const unet = await folderFiles(join(MODELS, 'sd15-inpaint-tiny/unet'));
  return openCheckpoint(replaceFolder(whole, 'unet', unet));
};

it('an inpainting checkpoint says that its UNet takes mask and masked picture too', async () => {
  const { description } = await open();
  expect(description).toMatchObject({ family: 'sd1', unetInChannels: 9, latentChannels: 4 });
});

await describeReferences('inpainting UNet against diffusers', 'sd15-inpaint-tiny', open, {
  only: ['unet'],
});
