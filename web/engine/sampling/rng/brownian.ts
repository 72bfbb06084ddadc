import { createNormalGenerator, type RandnSource } from './normal-generator.ts';
import { seedState } from './seed-sequence.ts';

/**
 * Noise of the DPM++ SDE family as torchsde's BrownianTree makes it: increments of one Brownian path per image over
 * sigma, so that the noise of a half step and of the whole step belong together. A node of the tree stands for an
 * interval; its key and depth seed the normals that split it.
 */
interface TreeNode {
  readonly start: number;
  readonly end: number;
  readonly key: number;
  readonly depth: number;
  readonly parent: TreeNode | null;
  middle: number;
  children: readonly [left: TreeNode, right: TreeNode] | null;
  /** Change of the path over the interval; null where it is to be worked out (again). */
  increment: Float32Array | null;
}

const { fround } = Math;

/** torchsde keeps times to six decimals, ties to even. */
export function roundTime(time: number): number {
  const tied = time * 128;
  // Six decimals tie exactly where 128 times the value is an odd whole number.
  if (Number.isInteger(tied) && tied % 2 !== 0) {
    const below = Math.floor(tied * 7812.5);
    return (below % 2 === 0 ? below : below + 1) / 1e6;
  }
  return Number(time.toFixed(6));
}

function createNode(
  start: number,
  end: number,
  key: number,
  depth: number,
  parent: TreeNode | null,
): TreeNode {
  const middle = roundTime((start + end) / 2);
  return { start, end, key, depth, parent, middle, children: null, increment: null };
}

/** The node's halves, made where they aren't there yet. */
function halves(node: TreeNode): readonly [TreeNode, TreeNode] {
  node.children ??= [
    createNode(node.start, node.middle, 2 * node.key, node.depth + 1, node),
    createNode(node.middle, node.end, 2 * node.key + 1, node.depth + 1, node),
  ];
  return node.children;
}

/** The largest nodes that together cover [from, to], left to right. */
function* pieces(node: TreeNode, from: number, to: number): Generator<TreeNode> {
  if (from <= node.start && to >= node.end) {
    yield node;
    return;
  }
  const [left, right] = halves(node);
  if (from < node.middle) yield* pieces(left, from, Math.min(to, node.middle));
  if (to > node.middle) yield* pieces(right, Math.max(from, node.middle), to);
}

/** The Brownian path of one image. */
class BrownianTree {
  readonly #seed: number;
  readonly #size: number;
  readonly #source: RandnSource;
  readonly #root: TreeNode;

  constructor(seed: number, size: number, source: RandnSource, start: number, end: number) {
    this.#seed = seed;
    this.#size = size;
    this.#source = source;
    this.#root = createNode(roundTime(start), roundTime(end), 0, 0, null);
    const scale = fround(Math.sqrt(end - start));
    this.#root.increment = this.#normals(null).map((normal) => scale * normal);
  }

  /** Adds the path's change over [from, to], which is clamped to the tree's span, to `total`. */
  addIncrement(from: number, to: number, total: Float32Array): void {
    const { start, end } = this.#root;
    const low = roundTime(Math.min(Math.max(from, start), end));
    const high = roundTime(Math.min(Math.max(to, start), end));
    if (low >= high) return;
    this.#forgetAfter(this.#root, high);
    for (const node of pieces(this.#root, low, high)) {
      const increment = this.#increment(node);
      for (let i = 0; i < total.length; i++) {
        total[i] = (total[i] as number) + (increment[i] as number);
      }
    }
  }

  /** Sampling goes down the sigmas: what lies above is not asked for again, or else is worked out anew. */
  #forgetAfter(node: TreeNode, time: number): void {
    if (node.start >= time) {
      node.increment = null;
      node.children = null;
    } else if (node.children) {
      const [left, right] = node.children;
      this.#forgetAfter(left, time);
      this.#forgetAfter(right, time);
    }
  }

  #normals(spawnKey: readonly number[] | null): Float32Array {
    const seed = seedState(this.#seed, spawnKey, 1)[0] as number;
    return createNormalGenerator(this.#source, seed).randn(this.#size);
  }

  #increment(node: TreeNode): Float32Array {
    if (node.increment) return node.increment;
    const { parent } = node;
    if (!parent) throw new Error('the root of a Brownian tree has its increment from the start');
    const whole = this.#increment(parent);
    const [leftSpan, rightSpan] = [parent.middle - parent.start, parent.end - parent.middle];
    const inverse = 1 / (parent.end - parent.start);
    const noiseScale = fround(Math.sqrt(leftSpan * rightSpan * inverse));
    const [leftScale, inverseScale] = [fround(leftSpan), fround(inverse)];
    const normals = this.#normals([parent.key, parent.depth]);
    const left = new Float32Array(this.#size);
    const right = new Float32Array(this.#size);
    for (let i = 0; i < left.length; i++) {
      const change = whole[i] as number;
      const mean = fround(fround(leftScale * change) * inverseScale);
      const part = fround(mean + fround(noiseScale * (normals[i] as number)));
      left[i] = part;
      right[i] = change - part;
    }
    const [leftNode, rightNode] = halves(parent);
    leftNode.increment = left;
    rightNode.increment = right;
    return node === leftNode ? left : right;
  }
}

export interface BrownianNoiseOptions {
  /** One an image; each has a path of its own. */
  readonly seeds: readonly number[];
  /** Values of one image's latents. */
  readonly size: number;
  /** Smallest sigma above 0 and largest sigma of the whole schedule, also where img2img uses its end only. */
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly source?: RandnSource;
}

/**
 * Unit-variance noise for steps between sigmas, for the whole batch. Asking between equal sigmas gives NaN, as
 * torchsde does; no sampler asks so.
 */
export function createBrownianNoise({
  seeds,
  size,
  sigmaMin,
  sigmaMax,
  source = 'gpu',
}: BrownianNoiseOptions): (sigma: number, sigmaNext: number) => Float32Array {
  const trees = seeds.map(
    (seed) => new BrownianTree(seed, size, source, fround(sigmaMin), fround(sigmaMax)),
  );
  return (sigma, sigmaNext) => {
    const [from, to] = [fround(Math.min(sigma, sigmaNext)), fround(Math.max(sigma, sigmaNext))];
    const noise = new Float32Array(seeds.length * size);
    for (const [index, tree] of trees.entries()) {
      tree.addIncrement(from, to, noise.subarray(index * size, (index + 1) * size));
    }
    // Sigma runs down while the path's time runs up.
    const scale = (sigma < sigmaNext ? 1 : -1) / fround(Math.sqrt(fround(to - from)));
    return noise.map((value) => value * scale);
  };
}
