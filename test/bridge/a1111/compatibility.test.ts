import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compatibilityPage } from '../../../bridge/a1111/compatibility-page.ts';
import { FIELDS } from '../../../bridge/a1111/fields.ts';
import { OPTIONS } from '../../../bridge/a1111/option-table.ts';
import { img2imgRequest, txt2imgRequest } from '../../../bridge/a1111/schemas.ts';
import { makePng } from './fake-services.ts';
import { createServer } from './helpers.ts';

describe('docs/a1111-compatibility.md', () => {
  it('is what the tables say; node tools/a1111-compatibility.mjs writes it', () => {
    const page = new URL('../../../docs/a1111-compatibility.md', import.meta.url);
    expect(readFileSync(page, 'utf8')).toBe(compatibilityPage());
  });
});

describe('the table of fields', () => {
  it('has every field of both requests once, on its route', () => {
    const onRoute = (route: string) =>
      FIELDS.filter((entry) => entry.route === 'both' || entry.route === route).map(
        (entry) => entry.name,
      );
    expect(onRoute('txt2img').sort()).toEqual(Object.keys(txt2imgRequest.shape).sort());
    expect(onRoute('img2img').sort()).toEqual(Object.keys(img2imgRequest.shape).sort());
  });

  const png = makePng(8, 8).toString('base64');
  /** For each field that is mentioned in the reply, a value that asks for something. */
  const asking: Readonly<Record<string, unknown>> = {
    restore_faces: true,
  };

  it('covers every field that is mentioned', () => {
    const mentioned = FIELDS.filter((entry) => entry.neutral).map((entry) => entry.name);
    expect(mentioned).toEqual(Object.keys(asking));
  });

  it.each(FIELDS.filter((entry) => entry.neutral))(
    '$name is quiet by default and mentioned when asked for',
    async ({ name, route: on, neutral }) => {
      const route = on === 'img2img' ? 'img2img' : 'txt2img';
      const base = route === 'img2img' ? { init_images: [png] } : {};
      const server = createServer();
      for (const value of neutral ?? []) {
        const quiet = await server.generate({ ...base, [name]: value }, route);
        expect(quiet.params.notes).toEqual([]);
      }
      const asked = await server.generate({ ...base, [name]: asking[name] }, route);
      expect(asked.params.notes.join()).toContain(`${name} had no effect`);
    },
  );
});

describe('the table of options', () => {
  it('has every key once, and defaults inside their own limits', () => {
    expect(new Set(OPTIONS.map(({ key }) => key)).size).toBe(OPTIONS.length);
    for (const { key, default: value, choices, min, max } of OPTIONS) {
      if (choices) expect(choices, key).toContain(value);
      if (typeof value === 'number') {
        expect(value, key).toBeGreaterThanOrEqual(min ?? value);
        expect(value, key).toBeLessThanOrEqual(max ?? value);
      }
    }
  });
});
