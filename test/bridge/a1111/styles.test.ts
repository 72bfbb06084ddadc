import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createStyleReader } from '../../../bridge/a1111/style-file.ts';
import { createServer } from './helpers.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'easel-styles-'));
  path = join(folder, 'styles.csv');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const CSV =
  'name,prompt,negative_prompt\nglow,"kettle, glowing",dull\nframe,a framed {prompt} on a wall,\n';

describe('styles', () => {
  it('are listed and applied in order; unknown names are left out and said so', async () => {
    writeFileSync(path, CSV);
    const server = createServer({}, { styles: createStyleReader(path) });
    expect(await server.get('/sdapi/v1/prompt-styles')).toEqual([
      { name: 'glow', prompt: 'kettle, glowing', negative_prompt: 'dull' },
      { name: 'frame', prompt: 'a framed {prompt} on a wall', negative_prompt: '' },
    ]);
    const { params, info } = await server.generate({
      prompt: 'raven',
      negative_prompt: 'bicycle',
      styles: ['glow', 'not there', 'frame', 'None'],
    });
    expect(params.prompt).toBe('a framed raven, kettle, glowing on a wall');
    expect(params.negativePrompt).toBe('bicycle, dull');
    expect(params.notes).toEqual(['There is no style "not there"; it was left out.']);
    expect(info.styles).toEqual(['glow', 'not there', 'frame', 'None']);
    expect(info.prompt).toBe(params.prompt);
  });

  it('are read again once the file changes, and none where there is no file', async () => {
    const read = createStyleReader(path);
    expect(await read()).toEqual([]);
    writeFileSync(path, CSV);
    const first = await read();
    expect(first).toHaveLength(2);
    expect(await read()).toBe(first);
    writeFileSync(path, 'name,prompt\none,two\n');
    utimesSync(path, 1, 1);
    expect((await read()).map(({ name }) => name)).toEqual(['one']);
    rmSync(path);
    expect(await read()).toEqual([]);
  });
});
