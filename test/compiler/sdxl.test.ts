import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { describeReferences } from './lib/family-suite.ts';
import { folderFiles, MODELS } from './lib/files.ts';

const open = async () => openCheckpoint(await folderFiles(join(MODELS, 'sdxl-tiny')));

it('an SDXL folder says what its UNet and its two text encoders need', async () => {
  const { description, components } = await open();
  expect(components.map(({ name }) => name)).toEqual([
    'text_encoder',
    'text_encoder_2',
    'unet',
    'vae_encoder',
    'vae_decoder',
  ]);
  expect(description).toMatchObject({
    family: 'sdxl',
    predictionType: 'epsilon',
    scalingFactor: 0.13025,
    unetInputs: { textEmbeds: 24, timeIds: 6, timestepCond: null },
  });
  const states = { clipSkip: 2, finalNorm: false, followsClipSkip: false };
  expect(description.textEncoders).toMatchObject([
    { component: 'text_encoder', padId: 49407, states, projectionSize: null },
    { component: 'text_encoder_2', padId: 0, states, projectionSize: 24 },
  ]);
});

await describeReferences('SDXL folder against diffusers', 'sdxl-tiny', open);
