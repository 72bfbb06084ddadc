import { AsyncLocalStorage } from 'node:async_hooks';

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A line for a person, or one JSON object a line for a log collector. */
export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** The request that the present work is done for; lines written meanwhile carry its id. */
const requestIds = new AsyncLocalStorage<string>();

/** Runs `work` so that every log line written in it carries the request's id. */
export function withRequestId<T>(requestId: string, work: () => T): T {
  return requestIds.run(requestId, work);
}

/** Facts beside a log line. Never a prompt, a password, a token or a client's address. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

export interface LoggerOptions {
  readonly level?: LogLevel;
  readonly format?: LogFormat;
  /** Takes one finished line without its line break. */
  readonly write?: (line: string) => void;
  readonly now?: () => Date;
}

/** Control characters would let a header forge a second line or colour the terminal. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the point
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, 2000);
}

function formatFields(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      const text = plain(String(value));
      return ` ${key}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`;
    })
    .join('');
}

/** One JSON object: `time`, `level`, `message`, and the fields, which cannot replace those three. */
function formatJson(time: string, level: string, message: string, fields: LogFields): string {
  return JSON.stringify({ ...fields, time, level, message });
}

/** A logger that writes one line an event: time, level, sentence, `key=value` pairs; or the same as JSON. */
export function createLogger({
  level = 'info',
  format = 'text',
  write = (line) => console.error(line),
  now = () => new Date(),
}: LoggerOptions = {}): Logger {
  const limit = LOG_LEVELS.indexOf(level);
  const at =
    (name: Exclude<LogLevel, 'silent'>) =>
    (message: string, fields: LogFields = {}) => {
      if (LOG_LEVELS.indexOf(name) > limit) return;
      const request = requestIds.getStore();
      const facts = request === undefined ? fields : { request, ...fields };
      const time = now().toISOString();
      if (format === 'json') write(formatJson(time, name, message, facts));
      else write(`${time} ${name.padEnd(5)} ${plain(message)}${formatFields(facts)}`);
    };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}
