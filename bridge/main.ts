import { fileURLToPath } from 'node:url';
import { GenerationError, isAbortError } from '../protocol/errors.ts';
import { clearCache, makePicture, serve } from './commands.ts';
import { errorCode } from './files.ts';
import { type Command, UsageError } from './options/options.ts';
import { parseCommand } from './options/parse-command.ts';
import { StartError } from './server.ts';

/** `build/bridge/main.js` lies two folders below the one that holds `dist/`. */
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));

/** Stopping takes no longer than this, whatever hangs. */
const STOP_MS = 9_800;

const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

async function run(command: Command, signal: AbortSignal): Promise<void> {
  const context = { distFolder: DIST, signal };
  switch (command.type) {
    case 'print':
      console.log(command.text);
      break;
    case 'clear-cache':
      await clearCache(command.options);
      break;
    case 'picture':
      await makePicture(command.options, command.picture, context);
      break;
    case 'serve':
      await serve(command.options, context);
      break;
    default:
      command satisfies never;
  }
}

/** The sentence for what went wrong; a stack only for what nobody foresaw. */
function describe(error: unknown): string {
  const isForeseen =
    error instanceof StartError || error instanceof GenerationError || error instanceof UsageError;
  if (isForeseen) return error.message;
  if (isAbortError(error)) return 'Stopped.';
  if (errorCode(error) !== '' && error instanceof Error) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function main(): Promise<number> {
  const stop = new AbortController();
  const onSignal = () => {
    // Asked twice: whoever asks does not want to wait.
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    stop.abort();
    setTimeout(() => {
      console.error('Something did not end in time; Easel stops without it.');
      process.exit(EXIT.failed);
    }, STOP_MS).unref();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('unhandledRejection', (reason) => {
    console.error('Easel made a mistake and goes on; please report it:', reason);
  });
  try {
    await run(parseCommand(process.argv.slice(2)), stop.signal);
    return EXIT.ok;
  } catch (error) {
    console.error(describe(error));
    return error instanceof UsageError ? EXIT.usage : EXIT.failed;
  }
}

process.exit(await main());
