import type { WebSocketLike } from '@hono/node-server';
import type { WSContext, WSEvents } from 'hono/ws';
import { WebSocket } from 'ws';
import type { TabConnection, TabSocket } from './tab-socket.ts';

/** Drops a peer that does not finish its close handshake. */
const CLOSE_GRACE_MS = 2_000;

function toTabSocket(context: WSContext<WebSocketLike>): TabSocket {
  const socket = context.raw instanceof WebSocket ? context.raw : null;
  return {
    send: (text) => context.send(text),
    close: (code, reason) => {
      context.close(code, reason);
      setTimeout(() => socket?.terminate(), CLOSE_GRACE_MS).unref();
    },
    terminate: () => socket?.terminate(),
    get bufferedBytes() {
      return socket?.bufferedAmount ?? 0;
    },
  };
}

/** Ties a WebSocket of the server to the relay: text in, text out, one close. */
export function relayEvents(attach: (socket: TabSocket) => TabConnection): WSEvents<WebSocketLike> {
  let connection: TabConnection | null = null;
  return {
    onOpen: (_event, context) => {
      connection = attach(toTabSocket(context));
    },
    onMessage: (event, context) => {
      if (typeof event.data === 'string') connection?.receive(event.data);
      else context.close(1003, 'text frames only');
    },
    onClose: (event) => connection?.closed(event.code),
    // `ws` reports what broke the connection and closes it: the close is what counts.
    onError: () => {},
  };
}
