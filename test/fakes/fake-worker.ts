import type { WorkerLike } from '../../web/page/engine-client.ts';
import type { WorkerMessage, WorkerRequest } from '../../web/shared/worker-protocol.ts';

type Listener = (event: never) => void;

/** A worker that records what it is told and says what the test wants. */
export class FakeWorker implements WorkerLike {
  readonly received: WorkerRequest[] = [];
  isTerminated = false;
  readonly #listeners = new Map<string, Listener[]>();

  postMessage(message: WorkerRequest): void {
    this.received.push(message);
  }

  terminate(): void {
    this.isTerminated = true;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  say(message: WorkerMessage): void {
    this.#dispatch('message', { data: message });
  }

  crash(message?: string): void {
    this.#dispatch('error', { message });
  }

  garble(): void {
    this.#dispatch('messageerror', {});
  }

  /** The id of the newest request of a type. */
  idOf(type: WorkerRequest['type']): number {
    const found = this.received.findLast((message) => message.type === type);
    if (!found || !('id' in found)) throw new Error(`no ${type} was sent`);
    return found.id;
  }

  #dispatch(type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
  }
}
