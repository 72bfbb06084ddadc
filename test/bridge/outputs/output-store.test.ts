import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileOutputStore } from '../../../bridge/outputs/output-store.ts';
import type { Byproduct } from '../../../protocol/byproducts.ts';
import { dayFolder, firstWords, pictureStem } from '../../../protocol/file-name.ts';
import { generationParams } from '../../../protocol/generation.ts';
import { readPngText } from '../../../protocol/png-text.ts';
import { fakeSummary, imageFrame } from '../../fakes/tab-frames.ts';
import { temporaryFolder } from '../support.ts';

const AT = new Date(2026, 2, 9, 17, 4, 5);
const params = generationParams.parse({ prompt: 'a red apple', initImages: ['AAAA'] });
const image = (prompt = 'a red apple, 3d', seed = 1) =>
  imageFrame({ jobId: 'j', attempt: 1 }, { prompt, seed });

describe('names of pictures', () => {
  it.each([
    ['a red apple, 3d', 'a_red_apple_3d'],
    ['one two three four five six seven eight', 'one_two_three_four_five_six'],
    ['(masterpiece:1.2), [ugly:0.5] <lora:style:0.8> portrait', 'masterpiece_ugly_portrait'],
    ['../../etc/passwd', 'etc_passwd'],
    ['..\\..\\windows\\system32', 'windows_system32'],
    ['C:\\x:y|z?*"<>', 'C_x_y_z'],
    ['a\u0000b\nc\td', 'a_b_c_d'],
    ['<img src=x onerror=alert(1)>', ''],
    ['---', ''],
    ['', ''],
    ['   ', ''],
    ['ein Äpfel und Öl', 'ein_Äpfel_und_Öl'],
    ['赤いりんご 3d', '赤いりんご_3d'],
    ['.hidden', 'hidden'],
    ['CON', 'CON'],
    ['semi-automatic -x-', 'semi-automatic_x'],
    ['x'.repeat(100), 'x'.repeat(40)],
    ['😀'.repeat(50), ''],
  ])('first words of %j', (prompt, expected) => {
    expect(firstWords(prompt)).toBe(expected);
  });

  it('S11 never hold a separator, whatever the prompt', () => {
    const bad = String.fromCharCode(...Array.from({ length: 128 }, (_, code) => code));
    for (let start = 0; start < 128; start += 1) {
      const stem = pictureStem(AT, bad.slice(start) + bad.slice(0, start), 7);
      expect(stem).toMatch(/^170405_[\p{L}\p{N}\p{M}_-]*_?7$/u);
    }
  });

  it('are HHMMSS, words, seed in a folder of the day', () => {
    expect(pictureStem(AT, 'a red apple', 42)).toBe('170405_a_red_apple_42');
    expect(pictureStem(AT, '', 42)).toBe('170405_42');
    expect(dayFolder(AT)).toBe('20260309');
  });
});

describe('the output store', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => folder.remove());

  const open = (savesMetadata = false) =>
    new FileOutputStore({ root: join(folder.path, 'out'), savesMetadata, now: () => AT });
  const day = () => join(folder.path, 'out', '20260309');

  it('R5 writes the very bytes under a name of its own, numbered where it is taken', async () => {
    const store = open();
    expect(store.folder).toBe(day());
    const paths = [await store.save(image(), params, fakeSummary())];
    paths.push(
      ...(await Promise.all([1, 2, 3].map(() => store.save(image(), params, fakeSummary())))),
    );
    expect(new Set(paths).size).toBe(4);
    expect(readdirSync(day()).sort()).toEqual([
      '170405_a_red_apple_3d_1.png',
      '170405_a_red_apple_3d_1_2.png',
      '170405_a_red_apple_3d_1_3.png',
      '170405_a_red_apple_3d_1_4.png',
    ]);
    for (const path of paths) expect(readFileSync(path).toString('base64')).toBe(image().data);
  });

  it('R5 does not write a picture twice when a save is redone, but writes one that only looks alike', async () => {
    const store = open();
    const first = await store.save(image(), params, fakeSummary());
    expect(await store.save(image(), params, fakeSummary(), { isRedo: true })).toBe(first);
    const other = { ...image(), data: image('a red apple, 3d', 2).data };
    expect(await store.save(other, params, fakeSummary(), { isRedo: true })).not.toBe(first);
    expect(readdirSync(day())).toHaveLength(2);
  });

  it('never replaces what is there', async () => {
    mkdirSync(day(), { recursive: true });
    writeFileSync(join(day(), '170405_a_red_apple_3d_1.png'), 'mine');
    await open().save(image(), params, fakeSummary());
    expect(readFileSync(join(day(), '170405_a_red_apple_3d_1.png'), 'utf8')).toBe('mine');
  });

  it('writes JSON and SHARK’s table beside it where that is asked for', async () => {
    const store = open(true);
    const path = await store.save(image('=a, "b"\nc'), params, fakeSummary());
    await store.save(image('plain'), params, fakeSummary());
    const json = JSON.parse(readFileSync(path.replace(/png$/, 'json'), 'utf8'));
    expect(json).toMatchObject({
      prompt: '=a, "b"\nc',
      seed: 1,
      steps: 20,
      checkpoint: 'easel-tiny',
      sampler: 'Euler',
    });
    expect(JSON.stringify(json)).not.toContain('AAAA');
    const csv = readFileSync(join(day(), 'imgs_details.csv'), 'utf8');
    const [header, ...rows] = csv.split('\n');
    expect(header).toBe(
      'VARIANT,SCHEDULER,PROMPT,NEG_PROMPT,SEED,CFG_SCALE,PRECISION,STEPS,HEIGHT,WIDTH,MAX_LENGTH,OUTPUT,VAE,LORA',
    );
    expect(csv).toContain(`"'=a, ""b""\nc"`);
    expect(rows.filter((row) => row.startsWith('easel-tiny,Euler,plain,'))).toHaveLength(1);
    expect(csv.match(/VARIANT/g)).toHaveLength(1);
  });

  it('saves byproducts beside their picture, named after it, with its infotext; only those that are wanted', async () => {
    const part = (kind: Byproduct['kind'], module = '') => ({
      ...{ kind, module, format: 'png' as const, data: image().data },
    });
    const byproducts = [
      part('mask'),
      part('mask-composite'),
      ...[part('control-map', 'canny'), part('control-map', 'canny'), part('control-map', 'none')],
    ];
    const wanted = ['mask', 'control-map'] as const;
    const saving = { file: '[seed]', folder: null, hasText: false, byproducts: wanted };
    await open().save({ ...image(), byproducts }, params, fakeSummary(), { saving });
    const root = join(folder.path, 'out');
    expect(readdirSync(root).sort()).toEqual([
      '1-canny.png',
      '1-canny_2.png',
      '1-mask.png',
      '1.png',
    ]);
    const mask = readFileSync(join(root, '1-mask.png'));
    expect((await readPngText(mask)).parameters).toBe(image().infotext);
    const bare = { ...params, embedsInfotext: false };
    await open().save({ ...image(), byproducts }, bare, fakeSummary(), {
      saving: { ...saving, file: 'bare' },
    });
    const without = readFileSync(join(root, 'bare-mask.png')).toString('base64');
    expect(without).toBe(byproducts[0]?.data);
    await open().save({ ...image(), byproducts }, params, fakeSummary());
    expect(readdirSync(day())).toHaveLength(1);
  });

  it('R18 leaves nothing half-written when it fails', async () => {
    writeFileSync(join(folder.path, 'out'), 'a file where the folder should be');
    await expect(open().save(image(), params, fakeSummary())).rejects.toThrow();
    expect(existsSync(day())).toBe(false);
  });
});

describe('a picture whose result is not durable yet', () => {
  it('R5 has no name', async () => {
    const folder = temporaryFolder();
    try {
      const store = new FileOutputStore({ root: folder.path, savesMetadata: false, now: () => AT });
      let keep = () => {};
      const after = new Promise<void>((resolve) => {
        keep = resolve;
      });
      const saving = store.save(image(), params, fakeSummary(), { after });
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(
        readdirSync(join(folder.path, '20260309')).filter((name) => name.endsWith('.png')),
      ).toEqual([]);
      keep();
      expect(existsSync(await saving)).toBe(true);
    } finally {
      folder.remove();
    }
  });
});

describe('names by pattern', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => folder.remove());

  it('follows A1111’s patterns for files and folders, and writes the infotext beside', async () => {
    const store = new FileOutputStore({ root: folder.path, savesMetadata: false, now: () => AT });
    const saving = { file: '[seed]-[prompt_spaces]', folder: '[date]/[sampler]', hasText: true };
    const path = await store.save(image(), params, fakeSummary(), { saving });
    expect(path).toBe(join(folder.path, '2026-03-09/Euler/1-a red apple, 3d.png'));
    expect(readFileSync(path.replace('.png', '.txt'), 'utf8')).toContain('Steps:');
    const second = await store.save(image(), params, fakeSummary(), { saving });
    expect(second).toMatch(/1-a red apple, 3d_2\.png$/);
  });

  it.each([
    ['../../../etc/x', '../..', 'etc/x'],
    ['/abs/[prompt]', 'C:\\windows', 'C_/windows/abs'],
    ['.ssh/.hidden', '', 'ssh/hidden'],
    ['con', 'aux/x', '_aux/x/_con'],
    ['[none]', null, '170405'],
    ['a\u0000b\nc', null, 'a_b_c'],
  ])('S11 keeps %j below the output folder', async (file, asked, expected) => {
    const store = new FileOutputStore({ root: folder.path, savesMetadata: false, now: () => AT });
    const evil = image('../../../../tmp/x', 1);
    const saving = { file, folder: asked, hasText: false };
    const path = await store.save(evil, params, fakeSummary(), { saving });
    expect(path.startsWith(`${folder.path}/`)).toBe(true);
    expect(path.slice(folder.path.length + 1)).toContain(expected);
    expect(path).not.toMatch(/\/\.\.?\//);
  });

  it('calls a grid a grid', async () => {
    const store = new FileOutputStore({ root: folder.path, savesMetadata: false, now: () => AT });
    const grid = { ...params, mode: 'grid' as const };
    const path = await store.save(image(), grid, fakeSummary());
    expect(path).toMatch(/20260309\/170405_a_red_apple_3d_1_grid\.png$/);
  });
});
