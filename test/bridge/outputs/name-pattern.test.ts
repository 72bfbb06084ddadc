import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fillPattern, safeParts } from '../../../bridge/outputs/name-pattern.ts';
import { generationParams } from '../../../protocol/generation.ts';
import { fakeSummary, imageFrame } from '../../fakes/tab-frames.ts';

const bytes = Buffer.from('a picture');
const prompt = '(red) apple: 3d, on a table';
const base = {
  image: {
    ...imageFrame({ jobId: 'j', attempt: 1 }, { prompt, seed: 12 }),
    ...{ width: 512, height: 768, index: 3, negativePrompt: 'bad' },
  },
  params: generationParams.parse({
    ...{ prompt, seed: 9, steps: 20, guidanceScale: 7, batchSize: 2, batchCount: 2 },
    ...{ sampler: 'DPM++ 2M', scheduler: 'karras' },
  }),
  summary: { ...fakeSummary(), checkpoint: 'folder/model v1', checkpointHash: '0123456789' },
  at: new Date(2026, 2, 9, 17, 4, 5, 67),
  bytes,
};
const hash = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');

describe('fillPattern', () => {
  it('takes as many words as the option says', () => {
    expect(fillPattern('[prompt_words]', { ...base, maxPromptWords: 2 })).toBe('red apple');
  });

  it.each([
    ['[seed]-[steps]-[cfg]', '12-20-7.0'],
    ['[width]x[height]', '512x768'],
    ['[sampler] [scheduler]', 'DPM++ 2M Karras'],
    ['[model_name]_[model_hash]', 'folder_model v1_0123456789'],
    ['[date]', '2026-03-09'],
    ['[datetime]', '20260309170405'],
    ['[datetime<%Y/%m/%d %H-%M-%S.%f>]', '2026_03_09 17-04-05.067000'],
    ['[job_timestamp]', '20260309170405'],
    ['[prompt]', '(red)_apple__3d,_on_a_table'],
    ['[prompt_spaces]', '(red) apple_ 3d, on a table'],
    ['[prompt_words]', 'red apple 3d on a table'],
    ['[prompt_hash]', hash(prompt).slice(0, 8)],
    ['[prompt_hash<12>]', hash(prompt).slice(0, 12)],
    ['[full_prompt_hash]', hash(`${prompt} bad`).slice(0, 8)],
    ['[image_hash<6>]', hash(bytes).slice(0, 6)],
    ['[batch_number] of [batch_size], [generation_number]', '2 of 2, 4'],
    ['[seed_first]-[seed_last]', '9-12'],
    ['[hasprompt<apple><pear|none>]', 'applenone'],
    ['[clip_skip]', '1'],
    ['a[none]b', 'ab'],
    ['[SEED]', '12'],
    ['[unknown]', '[unknown]'],
    ['[constructor]', '[constructor]'],
    ['plain', 'plain'],
  ])('%j', (pattern, expected) => {
    expect(fillPattern(pattern, base)).toBe(expected);
  });

  it('drops the text in front of what there is nothing of', () => {
    const params = { ...base.params, batchSize: 1, batchCount: 1 };
    const one = { ...base, params };
    expect(fillPattern('[seed]-batch[batch_number]-[generation_number]', one)).toBe('12');
    expect(fillPattern('[seed] strength [denoising]', one)).toBe('12');
  });

  it('tells another zone’s time', () => {
    const at = new Date(Date.UTC(2026, 2, 9, 23, 30));
    const pattern = '[datetime<%d %H:%M><Asia/Tokyo>]';
    expect(fillPattern(pattern, { ...base, at })).toBe('10 08_30');
    expect(fillPattern('[datetime<%Y><No/Where>]', { ...base, at })).toBe('2026');
  });
});

describe('safeParts', () => {
  it.each([
    ['a/b\\c', ['a', 'b', 'c']],
    ['../x/./y/..', ['x', 'y']],
    ['  . . ', []],
    ['.hidden', ['hidden']],
    ['NUL.txt', ['_NUL.txt']],
    ['a/'.repeat(20), Array(8).fill('a')],
  ])('%j', (text, parts) => {
    expect(safeParts(text)).toEqual(parts);
  });

  it('cuts a part to what file systems hold, between letters', () => {
    const [part] = safeParts('ä'.repeat(500));
    expect(Buffer.byteLength(part!)).toBeLessThanOrEqual(200);
    expect(part).toBe('ä'.repeat(100));
  });
});
