import type { Context } from 'hono';
import { errorReply, type ValidationDetail } from '../a1111/errors.ts';

function sentenceOf(detail: readonly ValidationDetail[]): {
  message: string;
  param: string | null;
} {
  const [first] = detail;
  const param = first?.loc.slice(1).join('.') || null;
  const message = detail
    .map(({ loc, msg }) => (loc.length > 1 ? `${loc.slice(1).join('.')}: ${msg}` : msg))
    .join('; ');
  return { message, param };
}

/** Errors as OpenAI's clients read them: one object `error` with `message`, `type`, `param` and `code`. */
export function handleErrors(log: (message: string) => void) {
  return function onError(error: Error, c: Context): Response {
    const reply = errorReply(error);
    if (!reply) log(`${c.req.method} ${c.req.path} failed: ${error.stack ?? error.message}`);
    // OpenAI answers malformed requests with 400, and its clients show that message.
    const status = reply?.status === 422 ? 400 : (reply?.status ?? 500);
    const detail = reply?.body.detail ?? 'The bridge failed on this request. Its log says why.';
    const { message, param } =
      typeof detail === 'string' ? { message: detail, param: null } : sentenceOf(detail);
    const type = status >= 500 ? 'server_error' : 'invalid_request_error';
    return c.json({ error: { message, type, param, code: null } }, status, reply?.headers ?? {});
  };
}
