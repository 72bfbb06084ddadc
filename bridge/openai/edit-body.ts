import type { Context } from 'hono';
import { ApiError } from '../a1111/errors.ts';
import { readJson } from '../a1111/json-body.ts';
import { isRecord } from '../a1111/lenient.ts';

async function toBase64(value: string | Blob): Promise<string> {
  if (typeof value === 'string') return value;
  return Buffer.from(await value.arrayBuffer()).toString('base64');
}

/** A form's fields; `image` and `image[]` may be given several times. */
async function readForm(c: Context): Promise<Record<string, unknown>> {
  let form: FormData;
  try {
    form = await c.req.formData();
  } catch {
    throw new ApiError(422, 'The form cannot be read: send it as multipart/form-data.');
  }
  const body: Record<string, unknown> = {};
  const image: string[] = [];
  for (const [name, value] of form) {
    if (name === 'image' || name === 'image[]') image.push(await toBase64(value));
    else if (name === 'mask') body.mask = await toBase64(value);
    else if (typeof value === 'string') body[name] = value;
  }
  return { ...body, image };
}

/** OpenAI's JSON form names pictures as `images: [{ image_url }]`; plain base64 in `image` is taken too. */
function fromJson(body: Record<string, unknown>): Record<string, unknown> {
  const { image, images, mask } = body;
  const sources = Array.isArray(images) ? images : Array.isArray(image) ? image : [image];
  const urlOf = (source: unknown) => (isRecord(source) ? source.image_url : source);
  return {
    ...body,
    image: sources.filter((source) => source !== undefined && source !== null).map(urlOf),
    mask: isRecord(mask) ? mask.image_url : (mask ?? null),
  };
}

/** The body of an edit, out of a form or of JSON, with its pictures as base64 in `image`. */
export async function readEditBody(c: Context): Promise<unknown> {
  const type = c.req.header('content-type') ?? '';
  if (/^multipart\/form-data/i.test(type)) return await readForm(c);
  const body = await readJson(c);
  return isRecord(body) ? fromJson(body) : body;
}
