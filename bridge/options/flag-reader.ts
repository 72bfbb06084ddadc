import { FLAGS, type FlagInfo, type FlagName, FOREIGN_FLAGS } from './flag-table.ts';
import { UsageError } from './options.ts';

const BY_NAME = new Map<string, FlagInfo>(
  FLAGS.flatMap((flag: FlagInfo) => flag.names.map((name) => [name, flag] as const)),
);

/** Edits (insert, delete, replace, swap neighbours) between two words. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const present = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const isSame = a[row - 1] === b[column - 1];
      let best = Math.min(
        (last[column] ?? 0) + 1,
        (present[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (isSame ? 0 : 1),
      );
      const isSwap =
        row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (isSwap) best = Math.min(best, (beforeLast[column - 2] ?? 0) + 1);
      present.push(best);
    }
    beforeLast = last;
    last = present;
  }
  return last[b.length] ?? a.length;
}

function sharedBeginning(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

/** The known spelling nearest to an unknown one. */
function nearestFlag(name: string): string {
  let best = 'help';
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const known of BY_NAME.keys()) {
    // Among equals the one that begins alike: `--out-dir` means `--output-dir`, not `--vae-dir`.
    const abbreviates = known.startsWith(name) ? 2 : 0;
    const distance = editDistance(name, known) - abbreviates - sharedBeginning(name, known) / 10;
    if (distance < bestDistance) [best, bestDistance] = [known, distance];
  }
  return best;
}

/** The values of the flags given, by printed name; a switch has the value `true`. */
export class FlagValues {
  readonly #values = new Map<string, string[]>();

  add(name: string, value: string): void {
    const known = this.#values.get(name);
    if (known) known.push(value);
    else this.#values.set(name, [value]);
  }

  has(name: FlagName): boolean {
    return this.#values.has(name);
  }

  /** The last value given, or undefined. */
  text(name: FlagName): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  isOn(name: FlagName): boolean {
    return this.text(name) === 'true';
  }

  /** All values, comma lists taken apart, blanks dropped. */
  list(name: FlagName): string[] {
    return (this.#values.get(name) ?? [])
      .flatMap((value) => value.split(','))
      .map((value) => value.trim())
      .filter((value) => value !== '');
  }

  number(
    name: FlagName,
    fallback: number,
    { min, max, isWhole = true }: { min: number; max: number; isWhole?: boolean },
  ): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const value = /^\s*[-+]?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max && (!isWhole || Number.isInteger(value))) return value;
    throw new UsageError(
      `--${name} takes a ${isWhole ? 'whole ' : ''}number from ${min} to ${max}, not "${text}".`,
    );
  }

  choice<T extends string>(name: FlagName, choices: readonly T[], fallback: T): T {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const found = choices.find((choice) => choice === text.toLowerCase());
    if (found) return found;
    throw new UsageError(`--${name} is one of ${choices.join(', ')}, not "${text}".`);
  }
}

function unknownFlag(name: string): UsageError {
  const counterpart = FOREIGN_FLAGS[name];
  if (counterpart) return new UsageError(`Easel has no --${name}. ${counterpart}`);
  return new UsageError(
    `Unknown flag --${name}. Did you mean --${nearestFlag(name)}? npm start -- --help lists all.`,
  );
}

function switchValue(name: string, inline: string | undefined): string {
  if (inline === undefined || /^(true|1|yes|on)$/i.test(inline)) return 'true';
  if (/^(false|0|no|off)$/i.test(inline)) return 'false';
  throw new UsageError(`--${name} takes no value; "${inline}" is neither true nor false.`);
}

/** A word that is a flag rather than a value: `-1` is a value. */
function looksLikeFlag(word: string): boolean {
  return /^--?[A-Za-z]/.test(word);
}

/** Takes an argument list apart. Throws `UsageError` for what no flag explains. */
export function readFlags(argv: readonly string[]): FlagValues {
  const values = new FlagValues();
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? '';
    const match = /^--?([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?$/s.exec(word);
    if (!match) {
      throw new UsageError(`"${word}" belongs to no flag. Put a value with blanks in quotes.`);
    }
    const name = (match[1] ?? '').replaceAll('_', '-').toLowerCase();
    const inline = match[2];
    const flag = name === 'h' ? BY_NAME.get('help') : BY_NAME.get(name);
    if (!flag) throw unknownFlag(name);
    const [printed] = flag.names;
    if (flag.kind === 'switch') {
      values.add(printed, switchValue(name, inline));
      continue;
    }
    let value = inline;
    const next = argv[index + 1];
    if (value === undefined && next !== undefined && !looksLikeFlag(next)) {
      value = next;
      index += 1;
    }
    if (value === undefined && flag.kind === 'optional') value = '';
    if (value === undefined) throw new UsageError(`--${name} needs a value: ${flag.value}.`);
    values.add(printed, value);
  }
  return values;
}
