import type { ModelSession, Runtime } from './runtime/runtime.ts';
import type { DeviceTensor } from './runtime/tensor.ts';
import { addWeighted, cropPlanes, featherWeights, type Planes, tileSide } from './tiling.ts';

export interface TiledSessionOptions {
  readonly runtime: Pick<Runtime, 'tensor'>;
  /** Opens the session for one tile of that many units. */
  readonly open: (tile: { height: number; width: number }) => Promise<ModelSession>;
  /** Names of the graph's only input and output, both [1, channels, height, width]. */
  readonly input: string;
  readonly output: string;
  /** Places of input and output a unit: 1 for latents, the VAE's factor for pictures. */
  readonly inputScale: number;
  readonly outputScale: number;
  /** Largest side of a tile, in units. */
  readonly tile: number;
}

/** Part of a tile that it shares with its neighbour. */
const OVERLAP = 0.25;

/**
 * A VAE's encoder or decoder that works tile by tile and feathers the seams: needs memory for one tile.
 * Close to the whole picture's result, not equal: its group norms see one tile at a time.
 */
export function createTiledSession(options: TiledSessionOptions): ModelSession {
  const { runtime, open, input, output, inputScale, outputScale, tile } = options;
  const overlap = Math.max(1, Math.floor(tile * OVERLAP));

  async function run(feeds: Readonly<Record<string, DeviceTensor>>) {
    const whole = await planesOf(feeds[input], input);
    const rows = tileSide(whole.height / inputScale, tile, overlap);
    const columns = tileSide(whole.width / inputScale, tile, overlap);
    const session = await open({ height: rows.tile, width: columns.tile });
    const rowWeights = featherWeights(rows, outputScale);
    const columnWeights = featherWeights(columns, outputScale);
    let result: Planes | null = null;
    for (const [i, top] of rows.starts.entries()) {
      for (const [j, left] of columns.starts.entries()) {
        const done = await runTile(session, whole, {
          ...{ top: top * inputScale, left: left * inputScale },
          ...{ height: rows.tile * inputScale, width: columns.tile * inputScale },
        });
        result ??= emptyLike(done, whole, outputScale / inputScale);
        addWeighted(
          result,
          { ...done, top: top * outputScale, left: left * outputScale },
          rowWeights[i] ?? new Float32Array(0),
          columnWeights[j] ?? new Float32Array(0),
        );
      }
    }
    if (!result) throw new TypeError('a picture without a tile');
    const { values, height, width } = result;
    const shape = [1, values.length / (height * width), height, width];
    return { [output]: runtime.tensor(values, shape) };
  }

  async function runTile(
    session: ModelSession,
    whole: Planes,
    part: { top: number; left: number; height: number; width: number },
  ): Promise<Planes> {
    const values = cropPlanes(whole, part);
    const channels = values.length / (part.height * part.width);
    const feed = runtime.tensor(values, [1, channels, part.height, part.width]);
    const { [output]: tensor } = await session.run({ [input]: feed });
    try {
      return await planesOf(tensor, output);
    } finally {
      tensor?.dispose();
    }
  }

  // The tiles' session belongs to the cache that opened it.
  return { run, release: async () => {} };
}

async function planesOf(tensor: DeviceTensor | undefined, name: string): Promise<Planes> {
  const values = await tensor?.read();
  const [, , height = 0, width = 0] = tensor?.shape ?? [];
  if (values instanceof Float32Array) return { values, height, width };
  throw new TypeError(`a graph has no float32 tensor ${name}`);
}

function emptyLike(tile: Planes, whole: Planes, scale: number): Planes {
  const channels = tile.values.length / (tile.height * tile.width);
  const [height, width] = [whole.height * scale, whole.width * scale];
  return { values: new Float32Array(channels * height * width), height, width };
}
