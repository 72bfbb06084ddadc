import { GenerationError } from '../errors.ts';
import { pause, type StopSignal, webPlatform } from '../web-platform.ts';
import { totalBytes } from './host-reads.ts';
import {
  checkStatus,
  givenUp,
  type HostContext,
  type HttpGet,
  type HttpReply,
  RETRY_DELAYS_MS,
  refuseWebPage,
  send,
  TransientError,
} from './http-client.ts';
import type { PlannedFile } from './plan-parts.ts';

/** A file on its way: the bytes that are here, and where more go. */
export interface PartFile {
  /** Bytes held, from the file's beginning. */
  readonly heldBytes: number;
  /** The host's mark of the version that the bytes are of, or null. */
  readonly etag: string | null;
  /** Where bytes that are here already begin again; null or left out where all behind `heldBytes` is missing. */
  readonly gapEnd?: number | null;
  /** Notes what the host said of the file, before its first byte is written. */
  begin(etag: string | null): Promise<void>;
  /** Rejects with `storage-full`. Bytes that are here already, behind a gap, are passed over: `heldBytes` goes up by more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Sees to it that all that was written outlives the process. */
  flush(): Promise<void>;
  /** Forgets all bytes. */
  restart(): Promise<void>;
  /** SHA-256 of the bytes as they are stored, in hex. */
  sha256(onProgress: (doneBytes: number) => void, signal: StopSignal): Promise<string>;
  /** Closes what is open, keeping the bytes. */
  close(): Promise<void>;
}

export interface TransferOptions {
  readonly get: HttpGet;
  readonly context: HostContext;
  readonly signal: StopSignal;
  /** Whether `If-Range` may be sent; in a browser it would ask for permission that hosts do not give. */
  readonly sendsIfRange: boolean;
  /** Told whenever bytes came or went. */
  readonly onProgress: () => void;
  readonly onVerify: (doneBytes: number) => void;
  /** Told when the host's file has another size than was planned. */
  readonly onResize: (sizeBytes: number) => void;
  /** Told a sentence for the person. */
  readonly onNote: (note: string) => void;
  readonly retryDelaysMs?: readonly number[];
  /** How long a host may send nothing. */
  readonly stallMs?: number;
}

/** The planned file; its size follows the host's where no hash pins the content. */
type Target = { -readonly [Field in keyof PlannedFile]: PlannedFile[Field] };

const STALL_MS = 30_000;

const NO_RESUME = 'The host does not continue files: this one began afresh.';

/**
 * Fetches the rest of a file and checks it. Cut connections are taken up where they broke; a file that
 * changed at the host, and a host that ignores ranges, begin afresh and say so. Rejects with
 * `GenerationError`, with what is here kept wherever going on is possible.
 */
export async function transferFile(
  planned: PlannedFile,
  part: PartFile,
  options: TransferOptions,
): Promise<void> {
  const file: Target = { ...planned };
  const { signal, retryDelaysMs = RETRY_DELAYS_MS } = options;
  let best = part.heldBytes;
  for (let failures = 0; !isWhole(file, part); ) {
    try {
      if (await fetchRest(file, part, options)) break;
    } catch (error) {
      await part.flush();
      signal.throwIfAborted();
      if (!(error instanceof TransientError)) throw error;
      // Counted from the farthest point, so that a host that always breaks halfway is given up.
      if (part.heldBytes > best) failures = 0;
      best = Math.max(best, part.heldBytes);
      const delayMs = retryDelaysMs[failures];
      if (delayMs === undefined) throw givenUp(file.path, error);
      failures += 1;
      await pause(error.waitMs ?? delayMs, signal);
    }
  }
  await part.flush();
  await verify(file, part, options);
}

function isWhole({ sizeBytes }: Target, { heldBytes }: PartFile): boolean {
  return sizeBytes !== null && heldBytes === sizeBytes;
}

/** One request for what is missing; true when the file is whole, false where more is to be asked for behind what was here. */
async function fetchRest(file: Target, part: PartFile, options: TransferOptions): Promise<boolean> {
  const { get, context, signal, sendsIfRange } = options;
  if (file.sizeBytes !== null && part.heldBytes > file.sizeBytes) await part.restart();
  const held = part.heldBytes;
  const isStrong = part.etag !== null && !part.etag.startsWith('W/');
  const headers: Record<string, string> = {};
  const gapEnd = part.gapEnd ?? null;
  if (held > 0 || gapEnd !== null) {
    headers.range = `bytes=${held}-${gapEnd === null ? '' : gapEnd - 1}`;
    if (sendsIfRange && isStrong && part.etag !== null) headers['if-range'] = part.etag;
  }
  const request = { url: file.url, headers, tokens: context.tokens, signal };
  const reply = await send(get, request);
  if (reply.status === 416 && held > 0) return await pastTheEnd(reply, file, part, options);
  checkStatus(reply, file.url, context);
  refuseWebPage(reply, file.url);
  try {
    const total = await agree(reply, file, part, options);
    return await readAll(reply, total, part, options);
  } finally {
    reply.cancel();
  }
}

/** 416: all is here already, or the file became shorter. */
async function pastTheEnd(
  reply: HttpReply,
  file: Target,
  part: PartFile,
  options: TransferOptions,
): Promise<boolean> {
  const total = totalBytes(reply);
  reply.cancel();
  if (total === part.heldBytes && file.sizeBytes === null) return true;
  await startAfresh(part, options, changedNote(file));
  throw new TransientError('the file became shorter at the host');
}

function changedNote({ path }: Target): string {
  return `${path} changed at the host while it was fetched: it began afresh.`;
}

async function startAfresh(part: PartFile, options: TransferOptions, note: string) {
  await part.restart();
  options.onNote(note);
  options.onProgress();
}

/** Makes the part fit what the host is about to send; gives the file's size where it is known. */
async function agree(
  reply: HttpReply,
  file: Target,
  part: PartFile,
  options: TransferOptions,
): Promise<number | null> {
  const total = totalBytes(reply);
  const etag = reply.header('etag');
  const start = /^bytes (\d{1,15})-/.exec(reply.header('content-range') ?? '')?.[1];
  const held = part.heldBytes;
  const hasOtherSize = total !== null && file.sizeBytes !== null && total !== file.sizeBytes;
  const hasOtherTag = part.etag !== null && etag !== null && etag !== part.etag;
  // Not every host lets a web page read this header.
  const isElsewhere = reply.status === 206 && start !== undefined && Number(start) !== held;
  if (hasOtherSize) {
    if (file.sha256 !== null) throw pinnedChanged(file, total);
    file.sizeBytes = total;
    options.onResize(total);
  }
  if (held > 0 && (reply.status === 200 || hasOtherSize || hasOtherTag || isElsewhere)) {
    const isSame = !hasOtherSize && !hasOtherTag;
    await startAfresh(part, options, isSame ? NO_RESUME : changedNote(file));
    if (reply.status === 206) throw new TransientError('the file changed at the host');
  }
  if (part.heldBytes === 0) await part.begin(etag);
  return total ?? file.sizeBytes;
}

/** Another size than that of the content that was asked for by its hash. */
function pinnedChanged({ path, sizeBytes }: Target, total: number): GenerationError {
  return new GenerationError(
    'download-failed',
    `${path} has ${total} bytes at the host, but ${sizeBytes} were announced: it is another file there now. Cancel this download and start it again.`,
  );
}

async function readAll(
  reply: HttpReply,
  total: number | null,
  part: PartFile,
  options: TransferOptions,
): Promise<boolean> {
  for (;;) {
    const bytes = await readBefore(reply, options);
    if (bytes === null) break;
    if (total !== null && part.heldBytes + bytes.length > total) {
      await part.restart();
      throw new TransientError('the host sent more than it announced');
    }
    const reached = part.heldBytes + bytes.length;
    await part.write(bytes);
    options.onProgress();
    if (part.heldBytes !== reached) return part.heldBytes === total;
  }
  if (total === null) return true;
  if (part.heldBytes < total) throw new TransientError('the connection broke');
  return true;
}

/** The next bytes; a host that falls silent is hung up on. */
async function readBefore(
  reply: HttpReply,
  { stallMs = STALL_MS, signal }: TransferOptions,
): Promise<Uint8Array | null> {
  let timer: unknown = null;
  let stop = () => {};
  const silence = new Promise<never>((_, reject) => {
    timer = webPlatform.setTimeout(() => {
      reject(new TransientError(`the host sent nothing for ${Math.round(stallMs / 1000)} seconds`));
    }, stallMs);
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    signal.throwIfAborted();
    return await Promise.race([reply.read(), silence]);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TransientError) throw error;
    throw new TransientError('the connection broke', { cause: error });
  } finally {
    webPlatform.clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

async function verify(file: Target, part: PartFile, options: TransferOptions): Promise<void> {
  if (file.sha256 === null) return;
  const found = await part.sha256(options.onVerify, options.signal);
  if (found === file.sha256) return;
  await part.restart();
  options.onProgress();
  throw new GenerationError(
    'download-failed',
    `${file.path} came with other bytes than its host names: SHA-256 ${found.slice(0, 10)}… instead of ${file.sha256.slice(0, 10)}…. It was thrown away; fetch it again.`,
  );
}
