import { open } from 'node:fs/promises';

/** What the header of a safetensors file tells. */
export interface SafetensorsSummary {
  /** A1111's reading: texts that hold JSON objects are parsed, pictures left out. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Shapes by tensor. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

/** Headers of LoRAs with training metadata reach a few megabytes. */
const MAX_HEADER_BYTES = 16 * 2 ** 20;

/** Reads a file's header; null where it is no safetensors file, or its header is too large to look at. */
export async function readSafetensorsSummary(path: string): Promise<SafetensorsSummary | null> {
  try {
    const file = await open(path);
    try {
      const length = Buffer.alloc(8);
      if ((await file.read(length, 0, 8, 0)).bytesRead < 8) return null;
      const size = length.readBigUInt64LE();
      if (size > MAX_HEADER_BYTES) return null;
      const text = Buffer.alloc(Number(size));
      if ((await file.read(text, 0, text.length, 8)).bytesRead < text.length) return null;
      return summarise(JSON.parse(text.toString('utf8')));
    } finally {
      await file.close();
    }
  } catch {
    return null;
  }
}

function summarise(header: unknown): SafetensorsSummary | null {
  if (typeof header !== 'object' || header === null) return null;
  const shapes = new Map<string, readonly number[]>();
  let metadata: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') metadata = readMetadata(entry);
    else if (Array.isArray(entry?.shape)) shapes.set(name, entry.shape);
  }
  return { metadata, shapes };
}

function readMetadata(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return {};
  const entries = Object.entries(value).filter(([key]) => key !== 'ssmd_cover_images');
  return Object.fromEntries(entries.map(([key, text]) => [key, parsed(text)]));
}

function parsed(text: unknown): unknown {
  if (typeof text !== 'string' || !text.startsWith('{')) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
