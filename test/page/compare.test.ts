import { describe, expect, it } from 'vitest';
import { planComparison } from '../../web/page/compare.ts';
import { FORM_DEFAULTS, type FormValues, toGenerationParams } from '../../web/page/form.ts';

const CHECKPOINTS = ['easel-tiny', 'photo/real.safetensors'].map((name) => ({
  ...{ name, source: 'browser' as const, filename: name, sha256: null, sizeBytes: null },
}));

function planOf(values: Partial<FormValues>, initImage: string | null = null) {
  const form: FormValues = { ...FORM_DEFAULTS, compare: 'xyz', prompt: 'a red apple', ...values };
  let seed = 90;
  const drawSeed = () => ++seed;
  const result = toGenerationParams(form, { draw: drawSeed, initImage });
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return planComparison(form, result.params, {
    checkpoints: CHECKPOINTS,
    drawSeed,
    style: ({ prompt, negativePrompt }) => ({ prompt: `ink, ${prompt}`, negativePrompt }),
  });
}

describe('X/Y/Z plot of the form', () => {
  it('changes x from cell to cell, y from row to row, and draws one seed for all', () => {
    const { cells, order, grids } = planOf({
      axisX: 'Steps',
      axisXValues: '2-6 (+2)',
      axisY: 'Prompt S/R',
      axisYValues: 'red,"blue, big"',
      batchSize: '4',
      batchCount: '2',
    });
    expect(cells.map(({ steps, prompt }) => [steps, prompt])).toEqual([
      [2, 'ink, a red apple'],
      [4, 'ink, a red apple'],
      [6, 'ink, a red apple'],
      [2, 'ink, a blue, big apple'],
      [4, 'ink, a blue, big apple'],
      [6, 'ink, a blue, big apple'],
    ]);
    expect(new Set(cells.map(({ seed }) => seed))).toEqual(new Set([91]));
    expect(cells.every(({ batchSize, batchCount }) => batchSize * batchCount === 1)).toBe(true);
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
    expect(grids).toHaveLength(1);
    expect(grids[0]).toMatchObject({
      ...{ columns: 3, rows: 2, joins: 'cells', cells: [0, 1, 2, 3, 4, 5] },
      columnLabels: ['Steps: 2', 'Steps: 4', 'Steps: 6'].map((text) => [{ text, isActive: true }]),
      rowLabels: ['red', 'blue, big'].map((text) => [{ text, isActive: true }]),
      pairs: [
        ['Script', 'X/Y/Z plot'],
        ['X Type', 'Steps'],
        ['X Values', '2-6 (+2)'],
        ['Y Type', 'Prompt S/R'],
        ['Y Values', 'red,"blue, big"'],
      ],
    });
  });

  it('makes a grid for each z and one that joins them, and changes the checkpoint least often', () => {
    const { cells, order, grids } = planOf({
      axisX: 'Checkpoint name',
      axisXValues: 'EASEL-tiny, photo/real',
      axisZ: 'CFG Scale',
      axisZValues: '3-9 [3]',
    });
    expect(cells.map(({ checkpoint, guidanceScale }) => [checkpoint, guidanceScale])).toEqual(
      [3, 6, 9].flatMap((scale) => [
        ['easel-tiny', scale],
        ['photo/real.safetensors', scale],
      ]),
    );
    expect(order).toEqual([0, 2, 4, 1, 3, 5]);
    expect(grids.map(({ columns, joins, cells: places }) => [columns, joins, places])).toEqual([
      [2, 'cells', [0, 1]],
      [2, 'cells', [2, 3]],
      [2, 'cells', [4, 5]],
      [3, 'grids', [0, 1, 2]],
    ]);
    expect(grids[3]?.columnLabels[0]).toEqual([{ text: 'CFG Scale: 3.0', isActive: true }]);
  });

  it('draws the seeds that are asked for with -1 and tells which', () => {
    const { cells, grids } = planOf({ axisX: 'Seed', axisXValues: '7, -1, -1', seed: '5' });
    // 91 is the subseed's.
    expect(cells.map(({ seed }) => seed)).toEqual([7, 92, 93]);
    expect(grids[0]?.pairs).toContainEqual(['Fixed X Values', '7, 92, 93']);
  });

  it('changes the denoising of whichever pass has one, and the second pass’s upscaler', () => {
    const axis = { axisX: 'Denoising', axisXValues: '0.25, 0.5' } as const;
    const fromPicture = planOf(axis, 'aGk=').cells;
    expect(fromPicture.map(({ denoisingStrength }) => denoisingStrength)).toEqual([0.25, 0.5]);
    const second = planOf({
      ...axis,
      ...{ hires: 'on', axisY: 'Hires upscaler', axisYValues: 'Latent, Lanczos' },
    }).cells;
    expect(second.map(({ hires }) => [hires?.denoisingStrength, hires?.upscaler])).toEqual([
      [0.25, 'Latent'],
      [0.5, 'Latent'],
      [0.25, 'Lanczos'],
      [0.5, 'Lanczos'],
    ]);
  });

  it('takes samplers and schedule types by any of their names', () => {
    const [cell] = planOf({
      ...{ axisX: 'Sampler', axisXValues: 'k_euler_a' },
      ...{ axisY: 'Schedule type', axisYValues: 'karras' },
      ...{ axisZ: 'Clip skip', axisZValues: '2' },
    }).cells;
    expect(cell).toMatchObject({ sampler: 'Euler a', scheduler: 'karras', clipSkip: 2 });
  });

  it.each<[Partial<FormValues>, RegExp]>([
    [{}, /no axis is chosen/],
    [{ axisX: 'Steps' }, /X values are missing/],
    [{ axisX: 'Steps', axisXValues: 'many' }, /"many" is no whole number/],
    [{ axisX: 'Steps', axisXValues: '0' }, /Steps cannot be 0/],
    [{ axisX: 'Clip skip', axisXValues: '13' }, /Clip skip cannot be 13/],
    [{ axisX: 'Sampler', axisXValues: 'Euler z' }, /no sampler "Euler z"/],
    [{ axisX: 'Schedule type', axisXValues: 'x' }, /no schedule type "x"/],
    [{ axisX: 'Checkpoint name', axisXValues: 'gone' }, /no checkpoint "gone"/],
    [{ axisX: 'Prompt S/R', axisXValues: 'pear, fig' }, /did not find pear/],
    [{ axisX: 'Denoising', axisXValues: '0.5' }, /needs a picture/],
    [{ axisX: 'Hires upscaler', axisXValues: 'Latent' }, /needs Hires/],
    [{ axisX: 'Seed', axisXValues: '1-300' }, /more than 256/],
    [{ axisX: 'Seed', axisXValues: '1-200', width: '512' }, /52 megapixels/],
  ])('refuses %j', (values, message) => {
    expect(() => planOf(values)).toThrow(message);
  });
});

describe('prompt matrix of the form', () => {
  it('makes a picture for every combination of the parts, each with the styles around it', () => {
    const { cells, grids } = planOf({ compare: 'matrix', prompt: 'a fox|in snow|at night' });
    expect(cells.map(({ prompt }) => prompt)).toEqual([
      'ink, a fox',
      'ink, a fox, in snow',
      'ink, a fox, at night',
      'ink, a fox, in snow, at night',
    ]);
    expect(grids[0]).toMatchObject({ columns: 2, rows: 2, cells: [0, 1, 2, 3] });
    expect(grids[0]?.columnLabels.map(([label]) => label)).toEqual([
      { text: 'in snow', isActive: false },
      { text: 'in snow', isActive: true },
    ]);
  });

  it('refuses a prompt without parts, and one with too many', () => {
    expect(() => planOf({ compare: 'matrix' })).toThrow(/set apart by \|/);
    expect(() => planOf({ compare: 'matrix', prompt: 'a|b|c|d|e|f|g|h|i|j' })).toThrow(/256/);
  });
});
