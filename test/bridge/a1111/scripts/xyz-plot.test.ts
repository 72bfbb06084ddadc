import { describe, expect, it } from 'vitest';
import { GenerationError } from '../../../../protocol/errors.ts';
import { listing, makePng } from '../fake-services.ts';
import { createServer, type ImagesReply, until } from '../helpers.ts';

const TXT2IMG = { nothing: 0, seed: 1, steps: 4, cfg: 6, promptSr: 7, sampler: 9, checkpoint: 11 };

interface Axis {
  type: number | string;
  values?: string;
  menu?: unknown;
}

/** Arguments in A1111's order; `rest` begins with "draw legend". */
function plot([x, y, z]: Axis[], rest: unknown[] = []) {
  const none: Axis = { type: TXT2IMG.nothing };
  const axes = [x ?? none, y ?? none, z ?? none];
  return {
    ...{ prompt: 'a cat', seed: 5, steps: 10, script_name: 'x/y/z plot' },
    script_args: [
      ...axes.flatMap(({ type, values = '', menu = [] }) => [type, values, menu]),
      ...rest,
    ],
  };
}

const jobsOf = ({ requests }: ReturnType<typeof createServer>) => requests.map((r) => r.params);

describe('X/Y/Z plot', () => {
  it('makes a picture for every combination, then one labelled grid', async () => {
    const server = createServer();
    const axes = [
      { type: TXT2IMG.steps, values: '10-12 (+2)' },
      { type: TXT2IMG.cfg, values: '4,7.5' },
    ];
    const { reply, info } = await server.generate(plot(axes));
    const jobs = jobsOf(server);
    const [grid] = jobs.slice(-1);
    expect(jobs.slice(0, -1).map((job) => [job.steps, job.guidanceScale, job.seed])).toEqual([
      [10, 4, 5],
      [12, 4, 5],
      [10, 7.5, 5],
      [12, 7.5, 5],
    ]);
    expect(grid).toMatchObject({ mode: 'grid', outputFormat: 'png' });
    expect(grid?.initImages).toHaveLength(4);
    expect(grid?.grid).toMatchObject({ columns: 2, rows: 2, cells: [0, 1, 2, 3], margin: 0 });
    const texts = (labels: { text: string }[][]) => labels.map((lines) => lines[0]?.text);
    expect(texts(grid!.grid!.columnLabels)).toEqual(['Steps: 10', 'Steps: 12']);
    expect(texts(grid!.grid!.rowLabels)).toEqual(['CFG Scale: 4.0', 'CFG Scale: 7.5']);

    expect(reply.images).toHaveLength(1);
    expect(info.index_of_first_image).toBe(1);
    expect(info.all_seeds).toEqual([5, 5, 5, 5]);
    expect(info.infotexts).toHaveLength(5);
    expect(info.infotexts[0]).toMatch(
      /, Script: X\/Y\/Z plot, X Type: Steps, X Values: 10-12 \(\+2\), Y Type: CFG Scale, Y Values: "4,7.5", Version: /,
    );
    expect(info.infotexts[1]).not.toContain('Script');
  });

  it('has pictures and sub-grids in the reply where they are asked for, and a grid of grids for Z', async () => {
    const server = createServer();
    const axes = [
      { type: TXT2IMG.steps, values: '1,2' },
      { type: TXT2IMG.nothing },
      { type: TXT2IMG.cfg, values: '3,4,5' },
    ];
    const { reply, info } = await server.generate(plot(axes, [true, true, true]));
    const grids = jobsOf(server).filter(({ mode }) => mode === 'grid');
    expect(grids.map(({ grid }) => [grid?.columns, grid?.rows])).toEqual([
      [2, 1],
      [2, 1],
      [2, 1],
      [3, 1],
    ]);
    expect(reply.images).toHaveLength(1 + 3 + 6);
    expect(info.infotexts).toHaveLength(1 + 3 + 6);
    expect(info.infotexts[0]).toContain('Z Type: CFG Scale');
    expect(info.infotexts[1]).not.toContain('Z Type');
  });

  it('draws no labels without a legend and leaves the margin that is asked for', async () => {
    const server = createServer();
    const axes = [{ type: TXT2IMG.steps, values: '1,2' }];
    const rest = [false, false, false, false, false, false, false, 12, false];
    await server.generate(plot(axes, rest));
    expect(jobsOf(server).at(-1)?.grid).toMatchObject({
      ...{ columnLabels: [], rowLabels: [], margin: 12 },
    });
    // Before 1.7 the margin came where the switches for the seeds are now.
    await server.generate(plot(axes, [true, false, false, false, 8]));
    expect(jobsOf(server).at(-1)?.grid?.margin).toBe(8);
  });

  it('fixes a random seed for all, and draws each where it is to stay random', async () => {
    const server = createServer();
    const axes = [{ type: TXT2IMG.steps, values: '1,2,3' }];
    await server.generate({ ...plot(axes), seed: -1 });
    const fixed = new Set(
      jobsOf(server)
        .slice(0, 3)
        .map(({ seed }) => seed),
    );
    expect(fixed.size).toBe(1);
    const other = createServer();
    await other.generate({ ...plot(axes, [true, false, false, true]), seed: -1 });
    expect(
      new Set(
        jobsOf(other)
          .slice(0, 3)
          .map(({ seed }) => seed),
      ).size,
    ).toBe(3);
  });

  it('tells the seeds that it drew for -1, and varies seeds along the axes that say so', async () => {
    const server = createServer();
    const { info } = await server.generate(plot([{ type: TXT2IMG.seed, values: '7,-1' }]));
    const [first, second] = jobsOf(server);
    expect(first?.seed).toBe(7);
    expect(info.infotexts[0]).toContain(`Fixed X Values: "7, ${second?.seed}"`);
    const varied = createServer();
    const axes = [
      { type: TXT2IMG.steps, values: '1,2' },
      { type: TXT2IMG.cfg, values: '3,4' },
    ];
    await varied.generate(plot(axes, [true, false, false, false, true, true, false, 0, false]));
    expect(
      jobsOf(varied)
        .slice(0, 4)
        .map(({ seed }) => seed),
    ).toEqual([5, 6, 7, 8]);
  });

  it('changes the costly axis least often, whichever it is', async () => {
    const models = [listing('one'), listing('two')];
    const server = createServer({ models });
    const axes = [
      { type: TXT2IMG.checkpoint, menu: ['one.safetensors', 'two.safetensors'] },
      { type: TXT2IMG.steps, values: '1,2' },
    ];
    await server.generate(plot(axes));
    expect(
      jobsOf(server)
        .slice(0, 4)
        .map((job) => [job.checkpoint, job.steps]),
    ).toEqual([
      ['one', 1],
      ['one', 2],
      ['two', 1],
      ['two', 2],
    ]);
    // In the grid they lie where their axes say.
    expect(jobsOf(server).at(-1)?.grid?.cells).toEqual([0, 1, 2, 3]);
  });

  it('replaces in prompts, takes samplers from menu or text, and labels by name alone', async () => {
    const server = createServer();
    const axes = [
      { type: TXT2IMG.promptSr, values: 'cat, dog,"red, fox"' },
      { type: 'sampler', values: 'Euler a,Heun' },
    ];
    await server.generate(plot(axes));
    const jobs = jobsOf(server);
    expect(jobs.slice(0, 4).map((job) => [job.prompt, job.sampler])).toEqual([
      ['a cat', 'Euler a'],
      ['a dog', 'Euler a'],
      ['a red, fox', 'Euler a'],
      ['a cat', 'Heun'],
    ]);
    expect(jobs.at(-1)?.grid?.columnLabels[2]?.[0]?.text).toBe('red, fox');
    expect(jobs.at(-1)?.grid?.rowLabels[0]?.[0]?.text).toBe('Euler a');
  });

  it('reaches settings and sizes by their axes', async () => {
    const server = createServer();
    const axes = [
      { type: 'Clip skip', values: '1,2' },
      { type: 'Size', values: '512x768' },
      { type: 'Schedule type', menu: ['Karras', 'Beta'] },
    ];
    await server.generate({ ...plot(axes), clip_skip: 3 });
    const made = jobsOf(server).filter(({ mode }) => mode === 'txt2img');
    expect(made.map((job) => [job.clipSkip, job.width, job.height, job.scheduler])).toEqual([
      [1, 512, 768, 'karras'],
      [2, 512, 768, 'karras'],
      [1, 512, 768, 'beta'],
      [2, 512, 768, 'beta'],
    ]);
  });

  it.each([
    ['an axis that is not there', [{ type: 99 }], /no axis 99/],
    ['no values', [{ type: TXT2IMG.steps }], /X values are missing/],
    ['a sampler nobody knows', [{ type: TXT2IMG.sampler, values: 'x' }], /Unknown sampler: x/],
    [
      'a checkpoint nobody knows',
      [{ type: TXT2IMG.checkpoint, values: 'x' }],
      /Unknown checkpoint/,
    ],
    ['words that are not there', [{ type: TXT2IMG.promptSr, values: 'dog,x' }], /did not find dog/],
    ['a value beyond its limits', [{ type: TXT2IMG.steps, values: '5000' }], /less than or equal/],
    [
      'too many pictures',
      [
        { type: TXT2IMG.steps, values: '1-20' },
        { type: TXT2IMG.cfg, values: '1-20' },
      ],
      /400 pictures/,
    ],
  ])('refuses %s before any picture is made', async (_what, axes, message) => {
    const server = createServer();
    const response = await server.post('/sdapi/v1/txt2img', plot(axes));
    expect(response.status).toBe(422);
    expect(JSON.stringify(await response.json())).toMatch(message);
    expect(server.requests).toEqual([]);
  });

  it('counts axes of img2img by its own list', async () => {
    const server = createServer();
    const init_images = [makePng(8, 8).toString('base64')];
    const body = { ...plot([{ type: 6, values: '1.5' }]), init_images };
    const { info } = await server.generate(body, 'img2img');
    // The seventh is "Image CFG Scale" there, which nothing here reads.
    expect(JSON.stringify(info.extra_generation_params)).toContain('Image CFG Scale');
  });

  it('saves pictures, and the grid unless a request or option says no', async () => {
    const axes = [{ type: TXT2IMG.steps, values: '1,2' }];
    const saved = async (extra: object) => {
      const server = createServer();
      await server.generate({ ...plot(axes), ...extra });
      return server.requests.map(({ saveImages }) => saveImages);
    };
    expect(await saved({})).toEqual([true, true, true]);
    expect(await saved({ do_not_save_grid: true })).toEqual([true, true, false]);
    const override_settings = { grid_save: false };
    expect(await saved({ override_settings })).toEqual([true, true, false]);
    expect(await saved({ do_not_save_samples: true })).toEqual([false, false, false]);
  });
});

describe('a plot under way', () => {
  const axes = [{ type: TXT2IMG.steps, values: '10,20,30' }];
  interface Progress {
    progress: number;
    state: { job: string; job_count: number; job_no: number };
  }

  function start() {
    const server = createServer({ isManual: true });
    const pending = server.post('/sdapi/v1/txt2img', plot(axes));
    const reply = async () => (await (await pending).json()) as ImagesReply;
    const progress = () => server.get<Progress>('/sdapi/v1/progress');
    return { server, reply, progress };
  }

  it('is one job in progress: its pictures counted, its share of the whole', async () => {
    const { server, reply, progress } = start();
    await until(() => server.requests.length === 1);
    server.step(5);
    expect((await progress()).state).toMatchObject({ job: '1 out of 3', job_count: 3, job_no: 0 });
    server.finish();
    await until(() => server.requests.length === 2);
    server.step(10);
    const second = await progress();
    expect(second.state).toMatchObject({ job: '2 out of 3', job_no: 1 });
    expect(second.progress).toBeCloseTo(0.01 + (1 + 0.5) / 3, 5);
    server.finish();
    await until(() => server.requests.length === 3);
    server.finish();
    await until(() => server.requests.length === 4);
    server.finish();
    expect((await reply()).images).toHaveLength(1);
    expect(await progress()).toMatchObject({ progress: 0, state: { job: '', job_count: 0 } });
  });

  it('ends at an interrupt with what exists, blanks in the grid', async () => {
    const { server, reply } = start();
    await until(() => server.requests.length === 1);
    server.finish();
    await until(() => server.requests.length === 2);
    server.step(3);
    await server.post('/sdapi/v1/interrupt', '');
    await until(() => server.requests.length === 3);
    expect(server.requests[2]?.params.grid?.cells).toEqual([0, null, null]);
    server.finish();
    const { images, info } = await reply();
    expect(images).toHaveLength(1);
    expect(JSON.parse(info).all_seeds).toHaveLength(1);
  });

  it('leaves a skipped picture blank and goes on', async () => {
    const { server, reply } = start();
    await until(() => server.requests.length === 1);
    // As the engine answers a skip: no picture, not interrupted.
    server.finishWithout();
    for (const count of [2, 3]) {
      await until(() => server.requests.length === count);
      server.finish();
    }
    await until(() => server.requests.length === 4);
    expect(server.requests[3]?.params.grid?.cells).toEqual([null, 0, 1]);
    server.finish();
    expect((await reply()).images).toHaveLength(1);
  });

  it('tells of a picture that failed and makes the others', async () => {
    const { server, reply } = start();
    await until(() => server.requests.length === 1);
    server.fail(new GenerationError('out-of-memory', 'The device is full.'));
    for (const count of [2, 3, 4]) {
      await until(() => server.requests.length === count);
      server.finish();
    }
    const { info } = await reply();
    const { extra_generation_params } = JSON.parse(info);
    expect(extra_generation_params['Script notes']).toBe(
      'Picture 1 was not made: The device is full.',
    );
  });

  it('fails as a single job would where nothing could be made', async () => {
    const failure = new GenerationError('no-tab', 'No page is open.');
    const server = createServer({ failure });
    const response = await server.post('/sdapi/v1/txt2img', plot(axes));
    expect(response.status).toBe(503);
    expect(server.requests).toHaveLength(1);
  });
});
