/** What the relay needs of a WebSocket; `ws` and the tests' fakes both fit. */
export interface TabSocket {
  send(text: string): void;
  /** Sends a close frame; the relay counts the tab as gone at once. */
  close(code: number, reason: string): void;
  /** Drops the connection without a handshake, for a peer that no longer answers. */
  terminate(): void;
  /** Bytes handed to `send` that have not left the process. */
  readonly bufferedBytes: number;
}

/** What the owner of a socket tells the relay. */
export interface TabConnection {
  /** One text frame. */
  receive(text: string): void;
  /** The socket is gone, whatever the code. */
  closed(code: number): void;
}
