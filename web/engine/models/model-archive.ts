import { z } from 'zod';
import { GenerationError } from '../../../protocol/errors.ts';
import { EASEL_VERSION } from '../../../protocol/version.ts';
import { COMPILER_VERSION } from '../../compiler/compile.ts';
import type { ExportedModel } from '../../shared/engine.ts';
import { compiledKey } from './cache-key.ts';
import {
  CHUNK_BYTES,
  MANIFEST_FORMAT,
  type Manifest,
  type ModelOrigin,
  manifest,
} from './manifest.ts';
import type { ModelStore } from './model-store.ts';
import { sha256Bytes } from './sha256.ts';

/**
 * A compiled model as one file, `.easel`:
 *
 * | bytes | what |
 * |---|---|
 * | 8 | `EASEL1`, CR, LF: a copy in text mode is seen |
 * | 4 | bytes of the header, little-endian |
 * | 32 | SHA-256 of the header |
 * | … | header, JSON: `format`, `formatVersion`, `easelVersion`, `manifest` |
 * | … | the chunks, end to end: by component, shard and place, each with its SHA-256 in the manifest |
 */
const MAGIC = new TextEncoder().encode('EASEL1\r\n');
const FORMAT = 'easel-compiled-model';
const FORMAT_VERSION = 1;
const LENGTH_BYTES = 4;
const HASH_BYTES = 32;
const PRELUDE_BYTES = MAGIC.length + LENGTH_BYTES + HASH_BYTES;
/** Tokenizers and the places of some thousand weights take 2 MB. */
const MAX_HEADER_BYTES = 32 * 2 ** 20;
const MAX_SHARD_BYTES = 2 ** 30;

/** What some file system refuses in a name. */
const UNSAFE = /[^\p{L}\p{N}.()-]+/gu;

/** Read before the rest, whose shape follows from it. */
const versions = z.object({
  format: z.literal(FORMAT),
  formatVersion: z.int(),
  manifest: z.object({
    formatVersion: z.int(),
    origin: z.object({ compilerVersion: z.int(), runtimeVersion: z.string() }),
  }),
});

/** A manifest of a model that can be taken out of its browser: it says what it was made of. */
export type ArchivedManifest = Manifest & { readonly origin: ModelOrigin };

/** An opened file: what it holds, and where its chunks begin. */
export interface ModelArchive {
  readonly manifest: ArchivedManifest;
  /** Bytes before the first chunk. */
  readonly dataOffset: number;
}

/**
 * A stored model as one file, made of the stored chunks: none of them is read here but to check it. Rejects
 * with `not-found`, with `unsupported` for what lies over another model, and with `invalid-model` where the
 * stored bytes are damaged.
 */
export async function writeArchive(store: ModelStore, key: string): Promise<ExportedModel> {
  const stored = await store.read(key);
  if (!stored) {
    throw new GenerationError(
      'not-found',
      'This compiled model is no longer there: the browser or another tab deleted it. Load its checkpoint again.',
    );
  }
  if (!stored.origin) {
    throw new GenerationError(
      'unsupported',
      `${stored.name} cannot be exported: ${stored.baseKey ? 'it holds only what LoRAs change in another compiled model' : 'it was compiled by an earlier version of Easel; delete it and load its checkpoint again'}.`,
    );
  }
  if (!(await store.verify(stored))) {
    throw new GenerationError(
      'invalid-model',
      `The compiled ${stored.name} was damaged in the browser's storage and is deleted. Load its checkpoint again, and export it then.`,
    );
  }
  const text = JSON.stringify({
    ...{ format: FORMAT, formatVersion: FORMAT_VERSION, easelVersion: EASEL_VERSION },
    manifest: stored,
  });
  const header = new TextEncoder().encode(text);
  const prelude = new Uint8Array(PRELUDE_BYTES);
  prelude.set(MAGIC);
  new DataView(prelude.buffer).setUint32(MAGIC.length, header.length, true);
  prelude.set(fromHex(await sha256Bytes(header)), MAGIC.length + LENGTH_BYTES);
  const chunks = await store.chunks(stored);
  return {
    fileName: `${stored.name}-${stored.origin.precision}`.replace(UNSAFE, '_').concat('.easel'),
    file: new Blob([prelude, header, ...chunks], { type: 'application/octet-stream' }),
  };
}

/**
 * The header of a file, checked whole against itself and against the file's size; no chunk is read.
 * Rejects with `invalid-model`, or with `unsupported` for one that another version of Easel made.
 */
export async function readArchive(file: Blob, runtimeVersion: string): Promise<ModelArchive> {
  const bytes = await readHeader(file);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid('its header cannot be read', cause);
  }
  checkVersions(json, runtimeVersion);
  const parsed = z.object({ manifest }).safeParse(json);
  if (!parsed.success) {
    throw invalid(`its header is wrong at ${parsed.error.issues[0]?.path.join('.') ?? '?'}`);
  }
  const found = await checkManifest(parsed.data.manifest);
  const dataOffset = PRELUDE_BYTES + bytes.length;
  const expected = dataOffset + found.sizeBytes;
  if (file.size !== expected) {
    throw invalid(
      `it has ${file.size} bytes, but its header tells of ${expected}: it is cut short`,
    );
  }
  return { manifest: found, dataOffset };
}

async function readHeader(file: Blob): Promise<Uint8Array<ArrayBuffer>> {
  const prelude = new Uint8Array(await file.slice(0, PRELUDE_BYTES).arrayBuffer());
  if (prelude.length < PRELUDE_BYTES || !MAGIC.every((byte, i) => prelude[i] === byte)) {
    throw new GenerationError(
      'invalid-model',
      'This is no compiled model that Easel exported. Choose a file that ends in .easel; checkpoints and LoRAs are added above.',
    );
  }
  const length = new DataView(prelude.buffer).getUint32(MAGIC.length, true);
  if (length > MAX_HEADER_BYTES) throw invalid(`it claims a header of ${length} bytes`);
  const header = new Uint8Array(
    await file.slice(PRELUDE_BYTES, PRELUDE_BYTES + length).arrayBuffer(),
  );
  const expected = toHex(prelude.subarray(MAGIC.length + LENGTH_BYTES));
  if (header.length < length || (await sha256Bytes(header)) !== expected) {
    throw invalid('its header is not what was written');
  }
  return header;
}

/** What another version compiled would only take up room: its key is never asked for. */
function checkVersions(json: unknown, runtimeVersion: string): void {
  const parsed = versions.safeParse(json);
  if (!parsed.success) throw invalid('its header is none of a compiled model');
  const { formatVersion, manifest: made } = parsed.data;
  const { compilerVersion, runtimeVersion: madeFor } = made.origin;
  const difference =
    formatVersion !== FORMAT_VERSION || made.formatVersion !== MANIFEST_FORMAT
      ? 'in another form than this version reads'
      : compilerVersion !== COMPILER_VERSION
        ? `by compiler version ${compilerVersion}, and this Easel has version ${COMPILER_VERSION}`
        : madeFor !== runtimeVersion
          ? `for ${madeFor}, and this Easel runs on ${runtimeVersion}`
          : null;
  if (difference === null) return;
  throw new GenerationError(
    'unsupported',
    `This model was compiled ${difference}. Update the older of the two Easels and export it again, or load the checkpoint here: it is compiled anew.`,
  );
}

async function checkManifest(found: Manifest): Promise<ArchivedManifest> {
  const { origin, key, sizeBytes, chunkBytes, model, baseKey } = found;
  if (!origin || baseKey !== undefined) throw invalid('it does not say what it was made of');
  if (key !== (await compiledKey(origin)))
    throw invalid('its key is not that of what it was made of');
  if (chunkBytes > CHUNK_BYTES) throw invalid(`its chunks have ${chunkBytes} bytes`);
  let total = 0;
  for (const { name, shardSizes, weights } of model.components) {
    for (const shardBytes of shardSizes) {
      if (shardBytes > MAX_SHARD_BYTES) throw invalid(`a shard of ${name} has ${shardBytes} bytes`);
      total += shardBytes;
    }
    for (const [weight, { shard, offset, sizeBytes: bytes }] of Object.entries(weights)) {
      if (offset + bytes <= (shardSizes[shard] ?? -1)) continue;
      throw invalid(`the weight "${weight}" of ${name} lies outside of its shard`);
    }
  }
  if (total !== sizeBytes) throw invalid(`its shards have ${total} bytes, not ${sizeBytes}`);
  return { ...found, origin };
}

/** How errors speak of a file that is not in order. */
export function invalid(problem: string, cause?: unknown): GenerationError {
  return new GenerationError(
    'invalid-model',
    `This .easel file is damaged: ${problem}. Copy it again from where it was exported; nothing of it was kept.`,
    { cause },
  );
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
