/** Something that was done to the canvas and can be taken back. */
export interface Change {
  /** What it holds on to. */
  readonly bytes: number;
  undo(): void;
  redo(): void;
}

/** Changes in order. The oldest are forgotten once all hold more than `maxBytes`; the newest never is. */
export class History {
  readonly #maxBytes: number;
  #done: Change[] = [];
  #undone: Change[] = [];

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get canUndo(): boolean {
    return this.#done.length > 0;
  }

  get canRedo(): boolean {
    return this.#undone.length > 0;
  }

  /** Remembers a change that was just made; what had been taken back before is gone. */
  push(change: Change): void {
    this.#undone = [];
    this.#done.push(change);
    let bytes = this.#done.reduce((sum, one) => sum + one.bytes, 0);
    while (bytes > this.#maxBytes && this.#done.length > 1) {
      bytes -= this.#done.shift()?.bytes ?? 0;
    }
  }

  /** Takes the last change back; false where there is none. */
  undo(): boolean {
    const change = this.#done.pop();
    if (!change) return false;
    change.undo();
    this.#undone.push(change);
    return true;
  }

  redo(): boolean {
    const change = this.#undone.pop();
    if (!change) return false;
    change.redo();
    this.#done.push(change);
    return true;
  }
}
