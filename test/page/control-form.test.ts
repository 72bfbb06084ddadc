import { describe, expect, it } from 'vitest';
import { controlParams } from '../../protocol/control.ts';
import { controlInfotext } from '../../web/engine/control/control-units.ts';
import { reuseSettings, startGeneration, takeControlPicture } from '../../web/page/actions.ts';
import { controlsOfInfotext } from '../../web/page/control-infotext.ts';
import { fieldLabel } from '../../web/page/field-label.ts';
import {
  type FieldName,
  FORM_DEFAULTS,
  findProblems,
  toEditParams,
  toGenerationParams,
} from '../../web/page/form.ts';
import { formOfInfotext } from '../../web/page/png-info.ts';
import { setFields } from '../../web/page/state.ts';
import { measureAs } from '../fakes/measure-picture.ts';
import { openPage } from '../fakes/page-context.ts';

const measure = measureAs();
const png = new Blob(['png'], { type: 'image/png' });

const UNIT_1 = {
  ...FORM_DEFAULTS,
  control1Use: 'on',
  control1Model: 'canny-tiny',
  control1Module: 'canny',
  control1Weight: '0.7',
  control1Start: '0.1',
  control1End: '0.9',
  control1Low: '50',
  control1High: '90',
  control1Mode: 'control',
  control1Resize: 'fill',
  control1PixelPerfect: 'on',
} as const;

const REFINED = { ...FORM_DEFAULTS, refiner: 'on', refinerCheckpoint: 'other' } as const;

function paramsOf(...args: Parameters<typeof toGenerationParams>) {
  const result = toGenerationParams(...args);
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.params;
}

describe('ControlNet units of the form', () => {
  it('come into the job with their number, picture and settings', () => {
    expect(paramsOf(UNIT_1, { controlImages: ['no', 'UElD'] }).controls).toEqual([
      {
        ...controlParams.parse({ model: 'canny-tiny' }),
        ...{ unit: 1, model: 'canny-tiny', image: 'UElD', module: 'canny', weight: 0.7 },
        ...{ resizeMode: 'fill', thresholdA: 50, thresholdB: 90, isPixelPerfect: true },
        ...{ guidanceStart: 0.1, guidanceEnd: 0.9, mode: 'control' },
      },
    ]);
    expect(paramsOf(FORM_DEFAULTS, { controlImages: ['UElD'] }).controls).toEqual([]);
  });

  it('have thresholds for edges alone', () => {
    const plain = { ...UNIT_1, control1Module: 'none', control1Low: 'x' } as const;
    const [unit] = paramsOf(plain, { controlImages: [null, 'UElD'] }).controls;
    expect(unit).toMatchObject({ module: 'none', thresholdA: null, thresholdB: null });
    expect(findProblems({ ...UNIT_1, control1Low: 'x' }, { isImg2img: true })).toHaveProperty(
      'control1Low',
    );
  });

  it('need a picture unless the job begins with one', () => {
    expect(toGenerationParams(UNIT_1)).toEqual({
      problems: { control1Use: { type: 'no-picture' } },
    });
    expect(paramsOf(UNIT_1, { initImage: 'SU5JVA==' }).controls).toMatchObject([{ image: null }]);
    const canvas = { initImage: 'SU5JVA==', mask: null };
    expect(toEditParams(UNIT_1, canvas)).toMatchObject({
      params: { mode: 'img2img', controls: [{ unit: 1, image: null }] },
    });
  });

  it('name what is wrong where they are on, and only there', () => {
    const wrong = { ...UNIT_1, control1Model: '', control1Weight: 'x', control0Weight: 'x' };
    expect(findProblems(wrong, { controlImages: [null, 'UElD'] })).toEqual({
      control1Model: { type: 'no-choice' },
      control1Weight: { type: 'number', min: 0, max: 10 },
    });
    expect(findProblems({ ...wrong, control1Use: 'off' })).toEqual({});
  });

  it('take a picture, say what is wrong with another, and have one label in each unit', async () => {
    const { engine, state, context } = openPage();
    const withMeasure = { ...context, measure };
    for (const [name, value] of Object.entries(UNIT_1)) setFields(state, { [name]: value });
    await startGeneration(withMeasure);
    expect(state.fieldProblems.value).toHaveProperty('control1Use');
    await takeControlPicture(withMeasure, 1, png);
    expect(state.fieldProblems.value).toEqual({});
    await takeControlPicture(withMeasure, 1, new Blob(['text']));
    expect(state.controls[1]?.problem.value).toBe('not-a-picture');
    void startGeneration(withMeasure);
    expect(engine.lastJob.params.controls).toMatchObject([{ unit: 1, image: 'cG5n' }]);
    expect(fieldLabel('control2Weight')).toBe(fieldLabel('control0Weight'));
    for (const name of Object.keys(FORM_DEFAULTS))
      expect(fieldLabel(name as FieldName), name).toBeTruthy();
  });
});

describe('refiner and VAE of the form', () => {
  it('come into jobs of Create and Edit', () => {
    expect(paramsOf(FORM_DEFAULTS)).toMatchObject({ refiner: null, vae: null });
    expect(paramsOf({ ...REFINED, vae: 'soft' })).toMatchObject({
      refiner: { checkpoint: 'other', switchAt: 0.8 },
      vae: 'soft',
    });
    expect(toEditParams(REFINED, { initImage: 'SU5JVA==', mask: null })).toMatchObject({
      params: { refiner: { checkpoint: 'other' } },
    });
  });

  it('are looked at where they are on', () => {
    expect(findProblems({ ...FORM_DEFAULTS, refinerSwitchAt: 'x' })).toEqual({});
    expect(findProblems({ ...REFINED, refinerCheckpoint: '', refinerSwitchAt: '2' })).toEqual({
      refinerCheckpoint: { type: 'no-choice' },
      refinerSwitchAt: { type: 'number', min: 0, max: 1 },
    });
  });
});

describe('infotexts', () => {
  const describedBy = (text: string) =>
    controlsOfInfotext((label) => (label === 'ControlNet 1' ? text : undefined));

  it('of Easel bring a unit back as it was', () => {
    const { controls } = paramsOf(UNIT_1, { controlImages: [null, 'UElD'] });
    const labelled = controls.map((unit) => ({ ...unit, modelLabel: 'canny-tiny [00112233]' }));
    const text = String(controlInfotext(labelled)['ControlNet 1']);
    const { control0Use, control2Use, ...unit } = describedBy(text);
    expect([control0Use, control2Use]).toEqual(['off', 'off']);
    expect(UNIT_1).toMatchObject(unit);
    expect(Object.keys(unit)).toHaveLength(11);
  });

  it('of older extensions are read too; preprocessors that are not here are none', () => {
    expect(
      describedBy(
        'preprocessor: canny, model: control_v11p_sd15_canny [d14c016b], weight: 0.5, starting/ending: (0.2, 0.8), resize mode: Just Resize, pixel perfect: True, control mode: My prompt is more important',
      ),
    ).toMatchObject({
      control1Module: 'canny',
      control1Model: 'control_v11p_sd15_canny',
      control1Weight: '0.5',
      control1Start: '0.2',
      control1End: '0.8',
      control1Resize: 'stretch',
      control1PixelPerfect: 'on',
      control1Mode: 'prompt',
    });
    expect(
      describedBy('Module: depth_midas, Model: depth, Threshold A: -1, Weight: 1.0'),
    ).toMatchObject({ control1Module: 'none', control1Model: 'depth', control1Weight: '1' });
    expect(describedBy('Threshold A: -1')).not.toHaveProperty('control1Low');
  });

  const line = 'Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64';

  it('fill refiner, VAE and units, and switch off what they do not name', () => {
    const form = formOfInfotext(
      `a fox\n${line}, Model: one, VAE: soft.safetensors, ControlNet 0: "Module: invert, Model: lines [01234567], Weight: 1.0", Refiner: other [0123456789], Refiner switch at: 0.6, Version: v1.10.1`,
    );
    expect(form).toMatchObject({
      ...{ refiner: 'on', refinerCheckpoint: 'other', refinerSwitchAt: '0.6', vae: 'soft' },
      ...{ control0Use: 'on', control0Model: 'lines', control0Module: 'invert' },
      ...{ control1Use: 'off', control2Use: 'off', hires: 'off' },
    });
    expect(formOfInfotext(`a fox\n${line}`)).toMatchObject({
      ...{ refiner: 'off', vae: '', hires: 'off', control0Use: 'off' },
    });
  });

  it('name models that may not be here: those are not chosen', () => {
    const { state, context } = openPage();
    const text = `a fox\n${line}, VAE: soft.pt, ControlNet 0: "Module: none, Model: lines", Refiner: other, Refiner switch at: 0.6`;
    reuseSettings(context, formOfInfotext(text));
    expect(state.formValues.value).toMatchObject({
      ...{ refiner: 'off', refinerCheckpoint: '', vae: '' },
      // The unit is on, so that it is seen what is missing.
      ...{ control0Use: 'on', control0Model: '' },
    });
    const model = (kind: 'vae' | 'controlnet', name: string) => ({
      ...({ kind, name, source: 'bridge', filename: '', sha256: null, sizeBytes: null } as const),
    });
    state.catalog.value = {
      checkpoints: [
        { name: 'other', source: 'bridge', filename: '', sha256: null, sizeBytes: null },
      ],
      models: [model('vae', 'soft'), model('controlnet', 'lines')],
    };
    reuseSettings(context, formOfInfotext(text));
    expect(state.formValues.value).toMatchObject({
      ...{ refiner: 'on', refinerCheckpoint: 'other', vae: 'soft', control0Model: 'lines' },
    });
  });
});
