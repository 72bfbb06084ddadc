import type { Readable } from 'node:stream';

const MAX_CHARACTERS = 4_096;
const MAX_SAID = 300;

/** What a browser's error output says of why it ended; read as it comes, so that the browser never waits for us. */
export class LastWords {
  #text = '';

  constructor(output: Readable | null | undefined) {
    output?.setEncoding('utf8').on('data', (text: string) => {
      this.#text = (this.#text + text).slice(-MAX_CHARACTERS);
    });
  }

  /** The last error, in a line, or nothing; what follows a question mark in it may be a secret and is left out. */
  get said(): string {
    const lines = this.#text.split('\n').map((line) => line.trim());
    const errors = lines.filter((line) => /\b(ERROR|FATAL)\b/.test(line));
    const last = errors.at(-1) ?? lines.filter(Boolean).at(-1) ?? '';
    // In front of it stand numbers of process and thread, and the time.
    const [, said = last] = /^\[[^\]]*\]\s*(.*)$/.exec(last) ?? [];
    return said.replace(/\?\S+/g, '?…').slice(0, MAX_SAID);
  }

  /** What somebody can do about it, or nothing. */
  get advice(): string {
    if (!this.#text.includes('No usable sandbox')) return '';
    return 'The browser may not make the namespaces of its sandbox here. In a container, add --security-opt seccomp=unconfined; on Ubuntu, allow user namespaces for it.';
  }
}
