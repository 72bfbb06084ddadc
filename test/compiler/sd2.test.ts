import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { describeReferences } from './lib/family-suite.ts';
import { folderFiles, MODELS } from './lib/files.ts';

const open = async () => openCheckpoint(await folderFiles(join(MODELS, 'sd2-tiny')));

it('an SD 2 folder says v-prediction, padding with 0 and no clip skip', async () => {
  const { description } = await open();
  expect(description).toMatchObject({
    family: 'sd2',
    predictionType: 'v_prediction',
    unetInChannels: 4,
    unetInputs: { textEmbeds: null, timeIds: null, timestepCond: null },
    nativeResolution: 128,
    notes: [],
  });
  expect(description.textEncoders).toHaveLength(1);
  expect(description.textEncoders[0]).toMatchObject({
    padId: 0,
    layers: 5,
    states: { clipSkip: 1, finalNorm: true, followsClipSkip: false },
    projectionSize: null,
    tokenizer: null,
  });
});

await describeReferences('SD 2 folder against diffusers', 'sd2-tiny', open);
