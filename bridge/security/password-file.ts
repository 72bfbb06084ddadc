import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Credential } from '../options/options.ts';

/** How often the file is looked at: a change is in force, and its sockets are closed, within a second. */
const POLL_MS = 400;

/** `user:pass`, or null; only the first colon splits, so that passwords may hold colons. */
export function parseCredential(text: string): Credential | null {
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) return null;
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** One pair a line; empty lines and such that begin with # do not count. Throws where a line is no pair or none is there. */
export function parsePasswordFile(text: string): Credential[] {
  const rows = text
    .split(/\r?\n/)
    .map((row) => row.trim())
    .filter((row) => row !== '' && !row.startsWith('#'));
  const pairs = rows.map(parseCredential);
  if (pairs.length === 0) throw new Error('it holds no USER:PASS line');
  return pairs.map((pair) => {
    if (!pair) throw new Error('a line of it is no USER:PASS with neither part empty');
    return pair;
  });
}

export interface PasswordFileWatch {
  /** Reads the file now, changed or not. */
  reread(): void;
  close(): void;
}

/**
 * Calls back with the file's passwords whenever they change. A file that is gone, empty or damaged
 * changes nothing: a slip of an editor must not open the door, nor lock everybody out.
 */
export function watchPasswordFile(
  path: string,
  {
    onChange,
    onProblem,
  }: {
    readonly onChange: (credentials: Credential[]) => void;
    readonly onProblem: (reason: string) => void;
  },
): PasswordFileWatch {
  const read = () => parsePasswordFile(readFileSync(path, 'utf8'));
  let known = JSON.stringify(read());
  const reread = () => {
    try {
      const credentials = read();
      const text = JSON.stringify(credentials);
      if (text === known) return;
      known = text;
      onChange(credentials);
    } catch (error) {
      onProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const listener = () => reread();
  watchFile(path, { interval: POLL_MS, persistent: false }, listener);
  return { reread, close: () => unwatchFile(path, listener) };
}
