import { type Signal, signal } from '@preact/signals';
import type { EditSession } from './edit-session.ts';

/** What the rest of the page knows of Edit, whose own code is loaded when it is first needed. */
export interface EditState {
  /** A picture that was sent to Edit and is not on the canvas yet. */
  readonly incoming: Signal<Blob | null>;
  /** The canvas; null until Edit is opened. */
  readonly session: Signal<EditSession | null>;
}

export function createEditState(): EditState {
  return { incoming: signal<Blob | null>(null), session: signal<EditSession | null>(null) };
}
