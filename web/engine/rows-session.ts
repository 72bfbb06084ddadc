import { buildConcatGraph } from '../compiler/step-graphs.ts';
import type { StepGraphs } from './runtime/gpu-latent-ops.ts';
import type { ModelSession, Runtime } from './runtime/runtime.ts';
import type { DeviceTensor } from './runtime/tensor.ts';

export interface RowsOptions {
  readonly runtime: Pick<Runtime, 'sliceBatch'>;
  readonly stepGraphs: StepGraphs;
  /** Takes `rows` rows at once, neither more nor fewer; stays its cache's. */
  readonly session: ModelSession;
  readonly rows: number;
}

/**
 * A session for any number of rows over a graph that was exported for a fixed one: runs it once for each
 * `rows` rows, the last ones filled up with a row that is thrown away. Nothing leaves the device.
 */
export function createRowsSession(options: RowsOptions): ModelSession {
  const { runtime, stepGraphs, session, rows } = options;

  /** Rows one after another; the parts are given back. */
  async function joined(parts: readonly DeviceTensor[]): Promise<DeviceTensor> {
    const [first] = parts;
    if (!first) throw new TypeError('no rows');
    if (parts.length === 1) return first;
    const shapes = parts.map(({ shape }) => shape);
    const key = `join ${first.dtype} ${shapes.map((shape) => shape.join('×')).join(' ')}`;
    const graph = await stepGraphs.get(key, () => buildConcatGraph({ shapes, dtype: first.dtype }));
    const feeds = Object.fromEntries(parts.map((part, index) => [`x${index}`, part]));
    try {
      const { out } = await graph.run(feeds);
      if (!out) throw new TypeError('the joining graph has no output');
      return out;
    } finally {
      for (const part of parts) part.dispose();
    }
  }

  async function run(feeds: Readonly<Record<string, DeviceTensor>>) {
    const inputs = Object.entries(feeds);
    const batch = inputs[0]?.[1].shape[0] ?? 0;
    const answers = new Map<string, DeviceTensor[]>();
    for (let row = 0; row < batch; row += rows) {
      const group = new Map<string, DeviceTensor>();
      for (const [name, tensor] of inputs) {
        const taken = Array.from({ length: rows }, (_, place) =>
          runtime.sliceBatch(tensor, Math.min(row + place, batch - 1)),
        );
        group.set(name, await joined(taken));
      }
      const outputs = await session.run(Object.fromEntries(group));
      for (const tensor of group.values()) tensor.dispose();
      for (const [name, tensor] of Object.entries(outputs)) {
        const wanted = Math.min(rows, batch - row);
        const list = answers.get(name) ?? [];
        if (wanted === rows) list.push(tensor);
        else {
          for (let place = 0; place < wanted; place++) list.push(runtime.sliceBatch(tensor, place));
          tensor.dispose();
        }
        answers.set(name, list);
      }
    }
    const results: Record<string, DeviceTensor> = {};
    for (const [name, parts] of answers) results[name] = await joined(parts);
    return results;
  }

  return { run, release: async () => {} };
}
