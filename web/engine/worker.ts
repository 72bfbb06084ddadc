import { z } from 'zod';
import { GenerationError, serializeError } from '../../protocol/errors.ts';
import type {
  EngineConfig,
  WorkerMessage,
  WorkerReply,
  WorkerRequest,
} from '../shared/worker-protocol.ts';
import { createLocalEngine, type LocalEngine } from './local-engine.ts';
import { connectRelay, type RelayClient } from './relay-client.ts';

/** Entry of the engine worker: wires the page's messages to the engine, and the engine to the relay. */

type Call = Exclude<Extract<WorkerRequest, { id: number }>, { type: 'cancel' }>;

// The page's content security policy forbids the code generation that zod would use.
z.config({ jitless: true });

let engine: LocalEngine | null = null;
let relay: RelayClient | null = null;
const aborts = new Map<number, AbortController>();

function send(message: WorkerMessage, transfer: Transferable[] = []): void {
  postMessage(message, { transfer });
}

async function start(config: EngineConfig): Promise<void> {
  engine = createLocalEngine(config);
  engine.onStatus((status) => send({ type: 'status', status }));
  engine.onCatalog((catalog) => send({ type: 'catalog', catalog }));
  const { appVersion } = config;
  relay = connectRelay({ engine, relay: config.relay, appVersion, onStuck: restart });
  relay.onStatus((status) => send({ type: 'relay-status', status }));
  send({ type: 'ready' });
  // A tab that waits for another tab of its profile leaves the device alone until its turn comes.
  await relay.elected;
  await engine.activate();
}

/** Ends as a crash does: the page gives this worker up, device and all, and starts another. */
function restart(): void {
  setTimeout(() => {
    throw new Error('a step of a job did not end');
  });
}

async function perform(
  call: Call,
  target: LocalEngine,
  signal: AbortSignal,
): Promise<Omit<WorkerReply, 'type' | 'id'>> {
  const { id } = call;
  switch (call.type) {
    case 'load-checkpoint':
      // Whoever asks in this tab wants it here.
      relay?.takeOver();
      await target.loadCheckpoint(call.name, { signal });
      return {};
    case 'unload-checkpoint':
      await target.unloadCheckpoint();
      return {};
    case 'refresh-models':
      await target.refreshModels();
      return {};
    case 'add-files':
      return { added: await target.addFiles(call.files) };
    case 'forget-files':
      await target.forgetFiles(call.name, call.kind);
      return {};
    case 'locked-files':
      return { locked: await target.lockedFiles() };
    case 'export-compiled':
      return { exported: await target.exportCompiled(call.key) };
    case 'import-compiled':
      return { imported: await target.importCompiled(call.file, { signal }) };
    case 'list-compiled':
      return { compiled: await target.listCompiled() };
    case 'delete-compiled':
      await (call.key === null ? target.deleteAllCompiled() : target.deleteCompiled(call.key));
      return {};
    case 'storage-estimate':
      return { storage: await target.storageEstimate() };
    case 'count-tokens':
      return { tokenCounts: await target.countTokens(call.prompts) };
    case 'generate': {
      relay?.takeOver();
      const summary = await target.generate(call.params, {
        signal,
        onProgress: (progress) => send({ type: 'progress', id, progress }),
        onImage: (image) => {
          const byproducts = (image.byproducts ?? []).map(({ bytes }) => bytes.buffer);
          send({ type: 'image', id, image }, [image.bytes.buffer, ...byproducts]);
        },
        onPreview: (bytes) => send({ type: 'preview', id, bytes }, [bytes.buffer]),
      });
      return { summary };
    }
  }
}

async function answer(call: Call, target: LocalEngine): Promise<void> {
  const abort = new AbortController();
  aborts.set(call.id, abort);
  try {
    send({ type: 'reply', id: call.id, ...(await perform(call, target, abort.signal)) });
  } catch (error) {
    send({ type: 'failure', id: call.id, error: serializeError(error) });
  } finally {
    aborts.delete(call.id);
  }
}

async function begin(config: EngineConfig): Promise<void> {
  try {
    await start(config);
  } catch (error) {
    console.error('The engine could not be started.', error);
    send({ type: 'start-failed', error: serializeError(error) });
  }
}

/** Answers a call that came before `start`, or after one that failed. */
function refuse({ id }: Call): void {
  const error = new GenerationError('internal', 'The engine is not running; reload the page.');
  send({ type: 'failure', id, error: serializeError(error) });
}

async function close(): Promise<void> {
  await relay?.close();
  await engine?.close();
  self.close();
}

addEventListener('message', ({ data }: MessageEvent<WorkerRequest>) => {
  if (data.type === 'start') void begin(data.config);
  else if (data.type === 'close') void close();
  else if (data.type === 'cancel') aborts.get(data.id)?.abort();
  else if (data.type === 'skip') engine?.skip();
  else if (data.type === 'interrupt') engine?.interrupt();
  else if (data.type === 'take-over') relay?.takeOver();
  else if (engine) void answer(data, engine);
  else refuse(data);
});
