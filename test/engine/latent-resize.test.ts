import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LATENT_UPSCALE_MODES, type LatentUpscaleMode } from '../../protocol/generation.ts';
import { hiresTarget } from '../../web/engine/hires.ts';
import { resizeLatents } from '../../web/engine/latent-resize.ts';

interface Target {
  width: number;
  height: number;
  hr_scale: number;
  hr_resize_x: number;
  hr_resize_y: number;
  use_old_hires_fix_width_height: boolean;
  /** In the records of A1111's older size fields, which come to a size and a scale. */
  firstphase?: [number, number];
  upscale_to: [number, number];
  infotext: Record<string, string | number>;
  latent_before_crop: [number, number];
  latent_rows: [number, number];
  latent_columns: [number, number];
}
interface Upscale {
  name: LatentUpscaleMode;
  from: [number, number];
  to: [number, number];
  x: number[];
  y: number[];
}
const { targets, latent_upscale, latent_upscale_modes } = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/hires.json', import.meta.url), 'utf8'),
) as {
  targets: Target[];
  latent_upscale: Upscale[];
  latent_upscale_modes: { name: string }[];
};

test('the modes are A1111’s', () => {
  expect(LATENT_UPSCALE_MODES).toEqual(latent_upscale_modes.map(({ name }) => name));
});

test.each(latent_upscale)('$name from $from to $to', ({ name, from, to, x, y }) => {
  const made = resizeLatents(
    Float32Array.from(x),
    { channels: 2, height: from[0], width: from[1] },
    { height: to[0], width: to[1] },
    name,
  );
  expect(made).toHaveLength(y.length);
  for (const [i, value] of made.entries()) {
    expect(Math.abs(value - y[i]!)).toBeLessThan(2e-5 * (1 + Math.abs(y[i]!)));
  }
});

const modern = targets.filter(
  (target) => !target.use_old_hires_fix_width_height && !target.firstphase,
);

test('every second pass has A1111’s size and crop', () => {
  expect(modern.length).toBeGreaterThan(80);
  for (const target of modern) {
    const made = hiresTarget(
      { scale: target.hr_scale, resizeWidth: target.hr_resize_x, resizeHeight: target.hr_resize_y },
      target,
      8,
    );
    expect({
      upscaled: [made.width, made.height],
      latent: [made.latent.width, made.latent.height],
      rows: [made.crop.top, made.crop.bottom],
      columns: [made.crop.left, made.crop.right],
      infotext: made.infotext,
    }).toEqual({
      upscaled: target.upscale_to,
      latent: target.latent_before_crop,
      rows: target.latent_rows,
      columns: target.latent_columns,
      infotext: target.infotext,
    });
  }
});
