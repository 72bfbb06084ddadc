import { isUtf8 } from 'node:buffer';
import type { Context } from 'hono';
import type { z } from 'zod';
import { ApiError, type ValidationDetail } from './errors.ts';
import { findJsonProblem } from './json-problem.ts';
import { isRecord } from './lenient.ts';

/** Brackets inside brackets beyond this are refused, as Python's own parser gives up at some depth. */
const MAX_DEPTH = 100;

const FORM_TYPES = ['multipart/', 'application/x-www-form-urlencoded'];

/**
 * Refuses bodies that a foreign page can send without a preflight: forms always, `text/plain` and a missing
 * type where an Origin says that a browser sent it. Everything else is read as JSON, whatever its label says.
 */
export function checkContentType(c: Context): void {
  const type = (c.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (FORM_TYPES.some((form) => type.startsWith(form))) {
    throw new ApiError(415, 'Form bodies are not accepted: send JSON as application/json.');
  }
  const isJson = type === 'application/json' || type.endsWith('+json');
  if (!isJson && c.req.header('origin') !== undefined && hasBody(c)) {
    throw new ApiError(415, 'Send the body as application/json.');
  }
}

function hasBody(c: Context): boolean {
  const length = c.req.header('content-length');
  return length === undefined ? c.req.raw.body !== null : length !== '0';
}

function invalid(detail: ValidationDetail): ApiError {
  return new ApiError(422, [detail]);
}

/** Where a JSON text breaks, in the form of FastAPI's `value_error.jsondecode`; the text itself is not repeated. */
function jsonProblem(text: string): ApiError {
  const { msg, pos } = findJsonProblem(text);
  const before = text.slice(0, pos);
  const lineno = before.split('\n').length;
  const colno = pos - before.lastIndexOf('\n');
  return invalid({
    loc: ['body', pos],
    msg: `${msg}: line ${lineno} column ${colno} (char ${pos})`,
    type: 'value_error.jsondecode',
    ctx: { msg, pos, lineno, colno },
  });
}

function isTooDeep(value: unknown): boolean {
  const stack: [unknown, number][] = [[value, 0]];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [entry, depth] = next;
    if (typeof entry !== 'object' || entry === null) continue;
    if (depth >= MAX_DEPTH) return true;
    for (const child of Object.values(entry)) stack.push([child, depth + 1]);
  }
  return false;
}

/**
 * Reads the body as JSON, whatever it holds; `undefined` for one of zero bytes. Throws `ApiError`: 415 for forms and for
 * untyped bodies from browsers, 400 for bytes that are no text, 422 with FastAPI's list for broken JSON.
 */
export async function readJson(c: Context): Promise<unknown> {
  checkContentType(c);
  // From the request itself: Hono would keep the bytes for as long as the job takes.
  const bytes = await c.req.raw.arrayBuffer();
  if (bytes.byteLength === 0) return undefined;
  // Not a fatal TextDecoder: in Node it makes two bytes of every character, of pictures too.
  if (!isUtf8(bytes)) {
    throw new ApiError(400, 'There was an error parsing the body: it is no UTF-8 text.');
  }
  const text = Buffer.from(bytes)
    .toString('utf8')
    .replace(/^\ufeff/, '');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw jsonProblem(text);
  }
  if (isTooDeep(value)) {
    throw invalid({ loc: ['body'], msg: 'value is nested too deeply', type: 'value_error' });
  }
  return value;
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined,
    root,
  );
}

/** One zod issue in pydantic 1's words. */
function toDetail(issue: z.core.$ZodIssue, body: unknown): ValidationDetail {
  const path = issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key));
  const loc = ['body', ...path];
  const detail = (msg: string, type: string, ctx?: Record<string, unknown>): ValidationDetail =>
    ctx ? { loc, msg, type, ctx } : { loc, msg, type };
  switch (issue.code) {
    case 'custom': {
      const type = issue.params?.type;
      return detail(issue.message, typeof type === 'string' ? type : 'value_error');
    }
    case 'too_small':
    case 'too_big':
      return detail(...rangeProblem(issue));
    case 'invalid_value': {
      const permitted = issue.values.map(String).join(', ');
      return detail(`unexpected value; permitted: ${permitted}`, 'value_error.const', {
        permitted: issue.values,
      });
    }
    case 'invalid_type': {
      if (valueAt(body, issue.path) === undefined) {
        return detail('field required', 'value_error.missing');
      }
      return issue.expected === 'string'
        ? detail('str type expected', 'type_error.str')
        : detail(issue.message, 'type_error');
    }
    default:
      return detail(issue.message, 'value_error');
  }
}

function rangeProblem(
  issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig,
): [string, string, Record<string, unknown>] {
  const isSmall = issue.code === 'too_small';
  const limit = Number(isSmall ? issue.minimum : issue.maximum);
  const ctx = { limit_value: limit };
  const bound = isSmall ? 'least' : 'most';
  const name = isSmall ? 'min' : 'max';
  if (issue.origin === 'string') {
    const msg = `ensure this value has at ${bound} ${limit} characters`;
    return [msg, `value_error.any_str.${name}_length`, ctx];
  }
  if (issue.origin === 'array') {
    const msg = `ensure this value has at ${bound} ${limit} items`;
    return [msg, `value_error.list.${name}_items`, ctx];
  }
  const relation = isSmall ? 'greater' : 'less';
  const equal = issue.inclusive === false ? '' : ' or equal to';
  const code = `not_${isSmall ? 'g' : 'l'}${issue.inclusive === false ? 't' : 'e'}`;
  const msg = `ensure this value is ${relation} than${equal} ${limit}`;
  return [msg, `value_error.number.${code}`, ctx];
}

/** Parses a value as a request body; throws the 422 list that FastAPI would answer with. */
export function parseBody<S extends z.ZodType>(value: unknown, schema: S): z.output<S> {
  if (value === undefined || value === null) {
    throw invalid({ loc: ['body'], msg: 'field required', type: 'value_error.missing' });
  }
  const isEmptyList = Array.isArray(value) && value.length === 0;
  if (!isRecord(value) && !isEmptyList) {
    const msg = 'value is not a valid dict';
    throw invalid({ loc: ['body'], msg, type: 'type_error.dict' });
  }
  const body = isEmptyList ? {} : value;
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new ApiError(
    422,
    result.error.issues.slice(0, 100).map((issue) => toDetail(issue, body)),
  );
}

/** Reads and parses a JSON body as FastAPI does; throws what `readJson` and `parseBody` throw. */
export async function jsonBody<S extends z.ZodType>(c: Context, schema: S): Promise<z.output<S>> {
  return parseBody(await readJson(c), schema);
}
