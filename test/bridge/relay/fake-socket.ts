import type { TabRelay } from '../../../bridge/relay/tab-relay.ts';
import type { TabConnection, TabSocket } from '../../../bridge/relay/tab-socket.ts';
import type { BridgeMessage, TabMessage } from '../../../protocol/relay.ts';
import { heartbeatFrame, helloFrame } from '../../fakes/tab-frames.ts';

type Job = Extract<BridgeMessage, { type: 'job' }>;

/** A socket and the tab behind it, without a network. */
export class FakeSocket implements TabSocket {
  readonly sent: BridgeMessage[] = [];
  bufferedBytes = 0;
  closedWith: { code: number; reason: string } | null = null;
  isTerminated = false;
  readonly connection: TabConnection;

  constructor(relay: TabRelay) {
    this.connection = relay.attach(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as BridgeMessage);
  }

  close(code: number, reason: string): void {
    this.closedWith = { code, reason };
  }

  terminate(): void {
    this.isTerminated = true;
    this.connection.closed(1006);
  }

  say(message: TabMessage): void {
    this.connection.receive(JSON.stringify(message));
  }

  hello(changes: Parameters<typeof helloFrame>[0] = {}): this {
    this.say(helloFrame(changes));
    return this;
  }

  heartbeat(job: Parameters<typeof heartbeatFrame>[0] = null): void {
    this.say(heartbeatFrame(job));
  }

  sentOf<T extends BridgeMessage['type']>(type: T): Extract<BridgeMessage, { type: T }>[] {
    return this.sent.filter((message) => message.type === type) as Extract<
      BridgeMessage,
      { type: T }
    >[];
  }

  /** The newest job it was given. */
  get job(): Job {
    const job = this.sentOf('job').at(-1);
    if (!job) throw new Error('no job was given to this tab');
    return job;
  }

  get hasJob(): boolean {
    return this.sentOf('job').length > 0;
  }
}
