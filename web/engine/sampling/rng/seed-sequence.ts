/** Constants of numpy's SeedSequence (O'Neill's seed_seq_fe, "Developing a seed_seq alternative", 2015). */
const INIT_A = 0x43b0d7e5;
const MULT_A = 0x931e8875;
const INIT_B = 0x8b51f9dd;
const MULT_B = 0x58f38ded;
const MIX_LEFT = 0xca01f9dd;
const MIX_RIGHT = 0x4973f715;
/** torchsde's pool size for the seeds of a Brownian tree. */
const DEFAULT_POOL_SIZE = 24;

/** An integer as little-endian 32-bit words; 0 is one word. */
function wordsOf(value: number | bigint): number[] {
  const words: number[] = [];
  let rest = BigInt(value);
  do {
    words.push(Number(rest & 0xffffffffn));
    rest >>= 32n;
  } while (rest > 0n);
  return words;
}

/** A hash whose constant moves on with every call. */
function createHash(init: number, multiplier: number): (value: number) => number {
  let constant = init;
  return (value) => {
    let hashed = value ^ constant;
    constant = Math.imul(constant, multiplier);
    hashed = Math.imul(hashed, constant);
    return (hashed ^ (hashed >>> 16)) >>> 0;
  };
}

function mix(a: number, b: number): number {
  const mixed = Math.imul(MIX_LEFT, a) - Math.imul(MIX_RIGHT, b);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/**
 * The first `count` words of numpy's `SeedSequence(entropy, spawn_key, pool_size).generate_state`.
 *
 * @param spawnKey null is no key at all: only with one is the entropy padded to the pool's size
 */
export function seedState(
  entropy: number | bigint,
  spawnKey: readonly number[] | null,
  count: number,
  poolSize = DEFAULT_POOL_SIZE,
): Uint32Array {
  const words = wordsOf(entropy);
  if (spawnKey !== null) {
    while (words.length < poolSize) words.push(0);
    for (const key of spawnKey) words.push(...wordsOf(key));
  }
  const hash = createHash(INIT_A, MULT_A);
  const pool = Uint32Array.from({ length: poolSize }, (_, i) => hash(words[i] ?? 0));
  for (let source = 0; source < poolSize; source++) {
    for (let target = 0; target < poolSize; target++) {
      if (source === target) continue;
      pool[target] = mix(pool[target] as number, hash(pool[source] as number));
    }
  }
  for (const extra of words.slice(poolSize)) {
    for (let target = 0; target < poolSize; target++) {
      pool[target] = mix(pool[target] as number, hash(extra));
    }
  }
  const output = createHash(INIT_B, MULT_B);
  return Uint32Array.from({ length: count }, (_, i) => output(pool[i % poolSize] as number));
}
