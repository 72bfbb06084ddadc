import { describe, expect, it, test } from 'vitest';
import { listing, makePng } from './fake-services.ts';
import { createServer } from './helpers.ts';

const png = (side = 8) => makePng(side, side).toString('base64');
const models = [
  listing('control_v11p_sd15_canny', { kind: 'controlnet' }),
  listing('control_v11f1p_sd15_depth', { kind: 'controlnet' }),
  listing('scribble', { kind: 'controlnet' }),
];
const hashes = { control_v11p_sd15_canny: `d14c016b${'0'.repeat(56)}` };
const server = () => createServer({ models, hashes });

/** The units of a job whose request carries these. */
async function controls(args: unknown, more: Record<string, unknown> = {}, route = 'txt2img') {
  const body = { alwayson_scripts: { controlnet: { args } }, ...more };
  const { params } = await server().generate(body, route);
  return params.controls;
}

const unit = { module: 'canny', model: 'control_v11p_sd15_canny [d14c016b]', image: png() };

describe('a ControlNet unit', () => {
  it('comes with the extension’s own defaults', async () => {
    expect(await controls([unit])).toEqual([
      {
        unit: 0,
        model: 'control_v11p_sd15_canny',
        modelLabel: 'control_v11p_sd15_canny [d14c016b]',
        image: png(),
        mask: null,
        module: 'canny',
        weight: 1,
        resizeMode: 'crop',
        processorResolution: null,
        thresholdA: null,
        thresholdB: null,
        isPixelPerfect: false,
        guidanceStart: 0,
        guidanceEnd: 1,
        mode: 'balanced',
        passes: 'both',
        isMapShown: true,
      },
    ]);
  });

  it('says everything that the extension reads', async () => {
    const full = {
      ...{ ...unit, enabled: true, weight: '0.75', mask: png(9), low_vram: true },
      ...{ resize_mode: 'Resize and Fill', processor_res: 768, threshold_a: 64, threshold_b: 128 },
      ...{ guidance_start: 0.1, guidance_end: 0.9, pixel_perfect: 'true' },
      ...{ control_mode: 'My prompt is more important', hr_option: 'Low res only' },
      ...{ save_detected_map: false, advanced_weighting: null },
    };
    expect((await controls([full]))[0]).toMatchObject({
      ...{ weight: 0.75, mask: png(9), resizeMode: 'fill', processorResolution: 768 },
      ...{ thresholdA: 64, thresholdB: 128, guidanceStart: 0.1, guidanceEnd: 0.9 },
      ...{ isPixelPerfect: true, mode: 'prompt', passes: 'first' },
    });
  });

  it.each([
    ['resize_mode', 0, { resizeMode: 'stretch' }],
    ['resize_mode', '1', { resizeMode: 'crop' }],
    ['resize_mode', 2, { resizeMode: 'fill' }],
    ['resize_mode', 3, { resizeMode: 'stretch' }],
    ['resize_mode', 'Just Resize', { resizeMode: 'stretch' }],
    ['resize_mode', 'Scale to Fit (Inner Fit)', { resizeMode: 'crop' }],
    ['resize_mode', 'Envelope (Outer Fit)', { resizeMode: 'fill' }],
    ['resize_mode', 'ResizeMode.OUTER_FIT', { resizeMode: 'fill' }],
    ['control_mode', 0, { mode: 'balanced' }],
    ['control_mode', 1, { mode: 'prompt' }],
    ['control_mode', 2, { mode: 'control' }],
    ['control_mode', 'ControlNet is more important', { mode: 'control' }],
    ['control_mode', 'ControlMode.CONTROL', { mode: 'control' }],
    ['control_mode', null, { mode: 'balanced' }],
    ['guessmode', true, { mode: 'control' }],
    ['guess_mode', false, { mode: 'balanced' }],
    ['guidance', 0.6, { guidanceEnd: 0.6 }],
    ['hr_option', 'High res only', { passes: 'second' }],
    ['hr_option', 'HiResFixOption.BOTH', { passes: 'both' }],
    ['module', 'invert (from white bg & black line)', { module: 'invert' }],
    ['module', 'None', { module: 'none' }],
    ['processor_res', 10, { processorResolution: 64 }],
    ['model', 'CONTROL_V11P_SD15_CANNY', { model: 'control_v11p_sd15_canny' }],
    ['model', 'depth', { model: 'control_v11f1p_sd15_depth' }],
    ['model', 'control_v11p_sd15_canny.safetensors', { model: 'control_v11p_sd15_canny' }],
  ] as const)('%s %s', async (key, value, expected) => {
    expect((await controls([{ ...unit, [key]: value }]))[0]).toMatchObject(expected);
  });

  it.each([
    ['a pair', { image: [png(), png(9)] }],
    ['an object', { image: { image: png(), mask: png(9) } }],
    ['an object and a mask', { image: { image: png() }, mask: png(9) }],
    ['two fields', { image: `data:image/png;base64,${png()}`, mask_image: png(9) }],
    ['the older field', { image: undefined, input_image: png(), mask: png(9) }],
  ])('takes picture and mask as %s', async (_, change) => {
    expect((await controls([{ ...unit, ...change }]))[0]).toMatchObject({
      ...{ image: png(), mask: png(9) },
    });
  });

  it('counts among all of them, switched off or not', async () => {
    const found = await controls([{ ...unit, enabled: false, model: 'gone' }, true, unit, unit]);
    expect(found.map((each) => each.unit)).toEqual([1, 2]);
  });

  it('may come by itself, under the script’s title, or in the older list', async () => {
    expect(await controls(unit)).toHaveLength(1);
    const titled = { alwayson_scripts: { ControlNet: { args: [unit] } } };
    const older = { controlnet_units: [unit] };
    for (const body of [titled, older]) {
      const { params, reply } = await server().generate(body);
      expect(params.controls).toHaveLength(1);
      expect(params.notes).toEqual([]);
      expect(reply.parameters).not.toHaveProperty('controlnet_units');
    }
    // Auto-Photoshop sends the same units in both places; they count once.
    const { params } = await server().generate({ ...titled, ...older });
    expect(params.controls).toHaveLength(1);
  });

  it('in img2img may go without a picture', async () => {
    const more = { init_images: [png()] };
    expect((await controls([{ ...unit, image: null }], more, 'img2img'))[0]?.image).toBeNull();
  });

  it('without a model is left out, and said', async () => {
    const args = [{ ...unit, model: 'None' }];
    const { params } = await server().generate({ alwayson_scripts: { controlnet: { args } } });
    expect(params.controls).toEqual([]);
    expect(params.notes).toEqual(['ControlNet unit 0 names no model and had no effect.']);
  });

  it.each([
    [{ model: 'gone' }, /^There is no ControlNet "gone"\. There are: control_v11p_sd15_canny, /],
    [
      { module: 'inpaint_only' },
      /"inpaint_only" is not available here; there are none, canny, invert/,
    ],
    [{ image: null }, /^ControlNet unit 0 has no picture/],
    [{ image: 'x' }, /^Invalid encoded image/],
    [{ image: 5 }, /^Invalid encoded image/],
    [{ image: 'https://example.org/a.png' }, /^Requests not allowed/],
  ])('%s is refused', async (change, text) => {
    const body = { alwayson_scripts: { controlnet: { args: [{ ...unit, ...change }] } } };
    const response = await server().post('/sdapi/v1/txt2img', body);
    expect(response.status).toBe(422);
    const { detail } = (await response.json()) as { detail: string };
    expect(detail).toMatch(text);
  });

  it('out of range is refused in A1111’s words, and so are too many', async () => {
    const post = async (args: unknown[]) => {
      const response = await server().post('/sdapi/v1/txt2img', {
        alwayson_scripts: { controlnet: { args } },
      });
      return { status: response.status, text: await response.text() };
    };
    const weighty = await post([{ ...unit, weight: 11 }]);
    expect(weighty).toMatchObject({ status: 422, text: expect.stringContaining('"weight"') });
    const many = await post(new Array(9).fill(unit));
    expect(many).toMatchObject({ status: 422, text: expect.stringContaining('at most 8') });
  });
});

describe('SHARK’s use_stencil', () => {
  const post = (use_stencil: string, init_images: string[]) =>
    server().post('/sdapi/v1/img2img', { use_stencil, init_images });

  it('canny draws the init picture’s edges', async () => {
    const body = { use_stencil: 'canny', init_images: [png()] };
    const { params } = await server().generate(body, 'img2img');
    expect(params.controls).toEqual([
      expect.objectContaining({ model: 'control_v11p_sd15_canny', module: 'canny', image: null }),
    ]);
    expect(params.notes).toEqual([]);
  });

  it('scribble takes the second init picture', async () => {
    const body = { use_stencil: 'scribble', init_images: [png(), png(9)] };
    const { params } = await server().generate(body, 'img2img');
    expect(params.controls[0]).toMatchObject({ model: 'scribble', module: 'none', image: png(9) });
    expect(params.initImages).toEqual([png()]);
  });

  it.each([
    ['scribble', 'needs its map as the second'],
    ['openpose', 'needs a ControlNet with "openpose" in its name'],
    ['sketch', 'There is no stencil "sketch"; there are canny, '],
    ['__proto__', 'There is no stencil "__proto__"; there are canny, '],
  ])('%s says what is missing', async (name, text) => {
    const response = await post(name, [png()]);
    expect(response.status).toBe(422);
    expect(await response.text()).toContain(text.replaceAll('"', '\\"'));
  });

  it('None asks for nothing', async () => {
    const { params } = await server().generate(
      { use_stencil: 'None', init_images: [png()] },
      'img2img',
    );
    expect(params).toMatchObject({ controls: [], notes: [] });
  });
});

test('[N10] the lists of /controlnet', async () => {
  const { get } = server();
  expect(await get('/controlnet/version')).toEqual({ version: 2 });
  expect(await get('/controlnet/settings')).toEqual({ control_net_unit_count: 8 });
  expect(await get('/controlnet/model_list')).toEqual({
    model_list: ['control_v11p_sd15_canny [d14c016b]', 'control_v11f1p_sd15_depth', 'scribble'],
  });
  const modules = await get<{ module_list: string[]; module_detail: Record<string, unknown> }>(
    '/controlnet/module_list',
  );
  expect(modules.module_list).toEqual(['none', 'canny', 'invert']);
  expect(modules.module_detail.canny).toMatchObject({
    sliders: [{ value: 512 }, { value: 100 }, {}],
  });
  const aliases = await get<{ module_list: string[] }>('/controlnet/module_list?alias_names=true');
  expect(aliases.module_list.at(-1)).toBe('invert (from white bg & black line)');
  const { control_types: types } = await get<{ control_types: Record<string, unknown> }>(
    '/controlnet/control_types',
  );
  expect(types.Canny).toEqual({
    module_list: ['none', 'canny'],
    model_list: ['None', 'control_v11p_sd15_canny [d14c016b]'],
    default_option: 'canny',
    default_model: 'control_v11p_sd15_canny [d14c016b]',
  });
  expect(types.All).toMatchObject({ default_option: 'none', default_model: 'None' });
});

describe('POST /controlnet/detect', () => {
  it('makes a job of every picture', async () => {
    const { post, requests } = server();
    const response = await post('/controlnet/detect', {
      ...{ controlnet_module: 'canny', controlnet_input_images: [png(), png(9)] },
      ...{ controlnet_processor_res: 256, controlnet_threshold_a: 50 },
    });
    const reply = (await response.json()) as { images: string[]; info: string };
    expect(reply.info).toBe('Success');
    expect(reply.images).toHaveLength(2);
    expect(requests.map(({ params }) => params.mode)).toEqual(['preprocess', 'preprocess']);
    expect(requests[1]!.params.controls[0]).toMatchObject({
      ...{ module: 'canny', image: png(9), processorResolution: 256 },
      ...{ thresholdA: 50, thresholdB: null },
    });
    expect(requests[0]!.saveImages).toBe(false);
  });

  it.each([
    [{ controlnet_module: 'openpose', controlnet_input_images: [png()] }, 'is not available here'],
    [{ controlnet_module: 'canny' }, 'No image selected'],
    [{ controlnet_module: 'canny', controlnet_input_images: ['x'] }, 'Invalid encoded image'],
  ])('%s is refused', async (body, text) => {
    const response = await server().post('/controlnet/detect', body);
    expect(response.status).toBe(422);
    expect(await response.text()).toContain(text);
  });
});
