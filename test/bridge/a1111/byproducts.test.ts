import { describe, expect, it } from 'vitest';
import { gridShape } from '../../../bridge/a1111/batch-grid.ts';
import { EMBEDDED, listing, makePng } from './fake-services.ts';
import { createServer, readVectors, until } from './helpers.ts';

const PNG = makePng(32, 16).toString('base64');
const MODELS = [EMBEDDED, listing('canny', { kind: 'controlnet' })];
const UNITS = [
  { model: 'canny', module: 'canny', image: PNG },
  { model: 'canny', module: 'invert', image: PNG, save_detected_map: false },
];

/** Widths of a reply's pictures: 8 is a picture, 9 a mask, 10 a composite, 11 a control map. */
async function widths(body: object, settings: Record<string, unknown> = {}) {
  const server = createServer({ models: MODELS, settings });
  const made = await server.generate({ init_images: [PNG], mask: PNG, ...body }, 'img2img');
  const sizes = made.reply.images.map((data) => Buffer.from(data, 'base64').readUInt32BE(16));
  return { ...made, sizes, request: server.requests[0]!, server };
}

describe('pictures beside the pictures of a reply', () => {
  it('are none by default', async () => {
    const { sizes, params } = await widths({ n_iter: 2 });
    expect(sizes).toEqual([8, 8]);
    expect(params.byproducts).toEqual([]);
  });

  it('are masks and composites, each behind its picture; infotexts are of the pictures alone', async () => {
    const override_settings = { return_mask: true, return_mask_composite: true };
    const { sizes, info } = await widths({ n_iter: 2, override_settings });
    expect(sizes).toEqual([8, 9, 10, 8, 9, 10]);
    expect(info.infotexts).toHaveLength(2);
    expect(info.all_seeds).toHaveLength(2);
    // No mask, nothing to show.
    const plain = await widths({ mask: null, override_settings });
    expect([plain.sizes, plain.params.byproducts]).toEqual([[8], []]);
  });

  it('are control maps behind all, as sd-webui-controlnet appends them', async () => {
    const body = { n_iter: 2, alwayson_scripts: { controlnet: { args: UNITS } } };
    const { sizes, params, info, reply } = await widths(body);
    expect(params.controls.map(({ isMapShown }) => isMapShown)).toEqual([true, false]);
    // The engine leaves a unit's map out where it is told to; the stand-in here does not.
    expect(sizes).toEqual([8, 8, 11, 11]);
    expect(info.infotexts).toHaveLength(2);
    expect(info.index_of_first_image).toBe(0);
    expect(reply.parameters.alwayson_scripts).toEqual(body.alwayson_scripts);
    const off = await widths({ ...body, override_settings: { control_net_no_detectmap: true } });
    expect([off.sizes, off.params.byproducts]).toEqual([[8, 8], []]);
    const unseen = await widths({ ...body, send_images: false });
    expect([unseen.sizes, unseen.params.byproducts]).toEqual([[], []]);
  });
});

describe('pictures saved beside the pictures', () => {
  const kinds = [
    ['save_mask', 'mask'],
    ['save_mask_composite', 'mask-composite'],
    ['save_images_before_color_correction', 'before-color-correction'],
    ['control_net_detectmap_autosaving', 'control-map'],
  ] as const;

  it.each(kinds)('%s saves and does not show', async (option, kind) => {
    const override_settings = {
      ...{ [option]: true, img2img_color_correction: true, control_net_no_detectmap: true },
    };
    const body = { override_settings, alwayson_scripts: { controlnet: { args: UNITS } } };
    const { sizes, params, request } = await widths(body);
    expect(params.byproducts).toEqual([kind]);
    expect(request.saving).toMatchObject({ byproducts: [kind], folder: '', file: '' });
    expect(sizes).toEqual([8]);
    const unsaved = await widths({ ...body, do_not_save_samples: true });
    expect(unsaved.params.byproducts).toEqual([]);
  });

  it('save_images_before_highres_fix is for jobs with a second pass', async () => {
    const server = createServer({ settings: { save_images_before_highres_fix: true } });
    expect((await server.generate({})).params.byproducts).toEqual([]);
    const { params } = await server.generate({ enable_hr: true });
    expect(params.byproducts).toEqual(['before-highres-fix']);
  });

  it('overlay_inpaint false leaves the result as it was made', async () => {
    const { params } = await widths({}, { overlay_inpaint: false });
    expect(params.inpaint?.isOverlaid).toBe(false);
  });
});

describe('a grid of a request’s pictures', () => {
  const grids = readVectors<{
    grid: {
      images: number;
      batch_size: number;
      n_rows: number;
      grid_prevent_empty_spots: boolean;
      columns: number;
      rows: number;
    }[];
  }>('masks.json').grid;

  it('has A1111’s rows and columns', () => {
    for (const { images, batch_size, columns, rows, ...options } of grids) {
      const about = JSON.stringify({ images, batch_size, ...options });
      expect(gridShape(images, batch_size, options), about).toEqual({ columns, rows });
    }
  });

  it('is saved where the request has save_images, and never shown', async () => {
    const made = async (body: object) => {
      const server = createServer();
      const { reply } = await server.generate(body);
      await until(() => server.services.jobs.list().length === 0);
      return { count: reply.images.length, jobs: server.requests.slice(1) };
    };
    const three = { n_iter: 3, save_images: true };
    const { count, jobs } = await made(three);
    expect(count).toBe(3);
    expect(jobs).toHaveLength(1);
    expect(jobs[0]).toMatchObject({ saveImages: true, params: { mode: 'grid' } });
    // Two rows of two, of which the last spot stays black.
    expect(jobs[0]?.params.grid).toMatchObject({ columns: 2, rows: 2, cells: [0, 1, 2, null] });
    for (const body of [
      { n_iter: 3 },
      { save_images: true },
      { ...three, do_not_save_grid: true },
      { ...three, do_not_save_samples: true },
      { ...three, override_settings: { grid_save: false } },
    ]) {
      expect((await made(body)).jobs, JSON.stringify(body)).toEqual([]);
    }
    const one = { save_images: true, override_settings: { grid_only_if_multiple: false } };
    expect((await made(one)).jobs).toHaveLength(1);
  });
});
