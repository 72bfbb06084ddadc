/**
 * Lets waiting events in: messages, timers, sockets. The wasm provider computes in one go, and promises
 * alone never give an interrupt or a heartbeat its turn. Unlike a timer it has no least delay.
 */
export function yieldToEvents(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
