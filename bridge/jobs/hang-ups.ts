/** How long after a client hung up its interrupt may still arrive. */
const WINDOW_MS = 1_000;

/**
 * Some clients hang up and post an interrupt as well, in either order. Hanging up has already ended
 * their job, so an interrupt that comes after it is spent on nothing: it must not hit the next job.
 */
export class HangUps {
  readonly #now: () => number;
  #notes: { readonly client: string; readonly at: number }[] = [];

  constructor({ now = Date.now }: { now?: () => number } = {}) {
    this.#now = now;
  }

  /** A client hung up and its running job was interrupted for that. */
  note(client: string): void {
    this.#notes.push({ client, at: this.#now() });
  }

  /** True when an interrupt (of that client, if it is known) belongs to a hang-up; each counts once. */
  spend(client: string | undefined): boolean {
    this.#notes = this.#notes.filter(({ at }) => this.#now() - at <= WINDOW_MS);
    const index = this.#notes.findIndex((note) => client === undefined || note.client === client);
    if (index < 0) return false;
    this.#notes.splice(index, 1);
    return true;
  }
}
