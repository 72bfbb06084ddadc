import { describe, expect, it } from 'vitest';
import { createServer } from '../helpers.ts';

function matrix(prompt: string, script_args: unknown[] = []) {
  return { prompt, seed: 5, script_name: 'Prompt matrix', script_args };
}

const made = ({ requests }: ReturnType<typeof createServer>) =>
  requests.map(({ params }) => params).filter(({ mode }) => mode !== 'grid');

describe('prompt matrix', () => {
  it('makes every combination of the parts, and a grid with what is in each', async () => {
    const server = createServer();
    const { reply, info } = await server.generate(matrix('a city|at night|in rain,|from above'));
    expect(made(server).map(({ prompt }) => prompt)).toEqual([
      'a city',
      'a city, at night',
      'a city, in rain',
      'a city, at night, in rain',
      'a city, from above',
      'a city, at night, from above',
      'a city, in rain, from above',
      'a city, at night, in rain, from above',
    ]);
    expect(new Set(made(server).map(({ seed }) => seed))).toEqual(new Set([5]));
    const grid = server.requests.at(-1)?.params.grid;
    expect(grid).toMatchObject({ columns: 4, rows: 2 });
    const shown = (labels: { text: string; isActive: boolean }[][] = []) =>
      labels.map((lines) => lines.map(({ text, isActive }) => (isActive ? text : `-${text}`)));
    expect(shown(grid?.columnLabels)).toEqual([
      ['-at night', '-in rain,'],
      ['at night', '-in rain,'],
      ['-at night', 'in rain,'],
      ['at night', 'in rain,'],
    ]);
    expect(shown(grid?.rowLabels)).toEqual([['-from above'], ['from above']]);
    expect(reply.images).toHaveLength(9);
    expect(info).toMatchObject({ index_of_first_image: 1, prompt: 'a city' });
    expect(info.infotexts).toHaveLength(9);
    expect(info.infotexts[0]).toBe(info.infotexts[1]);
  });

  it('puts parts in front, joins by spaces, counts seeds up, and works on the negative prompt', async () => {
    const server = createServer();
    const body = { ...matrix('x'), negative_prompt: 'bad|ugly' };
    await server.generate({ ...body, script_args: [true, true, 'negative', 'space', 10] });
    const jobs = made(server);
    expect(jobs.map(({ prompt, negativePrompt, seed }) => [prompt, negativePrompt, seed])).toEqual([
      ['x', 'bad', 5],
      ['x', 'ugly bad', 6],
    ]);
    expect(server.requests.at(-1)?.params.grid?.margin).toBe(10);
  });

  it.each([
    [matrix('a|b', [false, false, 'both']), /Unknown prompt type both/],
    [matrix('a|b', [false, false, 'positive', 'dot']), /Unknown variations delimiter dot/],
    [matrix(`a${'|b'.repeat(9)}`), /more than 256 pictures/],
  ])('refuses what A1111 fails on', async (body, message) => {
    const response = await createServer().post('/sdapi/v1/txt2img', body);
    expect(response.status).toBe(422);
    expect(JSON.stringify(await response.json())).toMatch(message);
  });
});

describe('the lists of scripts', () => {
  it('[N2] name what a request may name, with arguments in order', async () => {
    const server = createServer();
    const { txt2img, img2img } = await server.get<Record<string, string[]>>('/sdapi/v1/scripts');
    expect(txt2img).toEqual(['prompt matrix', 'x/y/z plot']);
    expect(img2img).toEqual([
      'outpainting mk2',
      "poor man's outpainting",
      'prompt matrix',
      'x/y/z plot',
    ]);
    const infos =
      await server.get<{ name: string; is_img2img: boolean; args: unknown[] }[]>(
        '/sdapi/v1/script-info',
      );
    const described = infos.filter(({ is_img2img }) => is_img2img).map(({ name }) => name);
    expect(described.toSorted()).toEqual(img2img);
    const plot = infos.find(({ name, is_img2img }) => name === 'x/y/z plot' && !is_img2img);
    expect(plot?.args).toHaveLength(18);
    expect(plot?.args[0]).toMatchObject({ label: 'X type', value: 'Seed' });
  });
});
