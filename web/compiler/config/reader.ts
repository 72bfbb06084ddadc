import { invalidModel, unsupportedModel } from '../errors.ts';

/**
 * Reads a `config.json` field by field. Every error names the file and the field. Fields nobody read
 * must be off (null or false): a switch that the compiler does not know would change the numbers.
 */
export class ConfigReader {
  readonly file: string;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #read = new Set<string>();

  constructor(file: string, fields: Readonly<Record<string, unknown>>) {
    this.file = file;
    this.#fields = fields;
  }

  /** The raw value; null counts as absent. */
  get(field: string): unknown {
    this.#read.add(field);
    const value = Object.hasOwn(this.#fields, field) ? this.#fields[field] : undefined;
    return value === null ? undefined : value;
  }

  /** Whether the field is there and null. */
  isNull(field: string): boolean {
    return Object.hasOwn(this.#fields, field) && this.#fields[field] === null;
  }

  number(field: string, fallback?: number): number {
    const value = this.get(field) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(field, 'a number');
    return value;
  }

  /** A whole number of at least 1, and of at most a million: sizes beyond are mistakes or attacks. */
  count(field: string, fallback?: number): number {
    const value = this.get(field) ?? fallback;
    if (!isCount(value)) throw this.wrong(field, 'a whole number from 1');
    return value;
  }

  counts(field: string, fallback?: readonly number[]): readonly number[] {
    const value = this.get(field) ?? fallback;
    if (!Array.isArray(value) || value.length === 0 || !value.every(isCount)) {
      throw this.wrong(field, 'a list of whole numbers from 1');
    }
    return value;
  }

  /** A count for each of `length` levels; one number stands for all. */
  countPerLevel(field: string, length: number, fallback?: number): readonly number[] {
    const value = this.get(field) ?? fallback;
    const list = isCount(value) ? Array<number>(length).fill(value) : value;
    if (!Array.isArray(list) || list.length !== length || !list.every(isCount)) {
      throw this.wrong(field, `a whole number from 1, or a list of ${length}`);
    }
    return list;
  }

  flag(field: string, fallback: boolean): boolean {
    const value = this.get(field) ?? fallback;
    if (typeof value !== 'boolean') throw this.wrong(field, 'true or false');
    return value;
  }

  choice<const T extends string>(field: string, known: readonly T[], fallback?: T): T {
    const value = this.get(field) ?? fallback;
    const found = known.find((name) => name === value);
    if (found === undefined) throw this.unknown(field, known);
    return found;
  }

  choices<const T extends string>(field: string, known: readonly T[]): readonly T[] {
    const value = this.get(field);
    if (!Array.isArray(value) || value.length === 0) throw this.wrong(field, 'a list of names');
    return value.map((name: unknown) => {
      const found = known.find((candidate) => candidate === name);
      if (found === undefined) throw this.unknown(field, known);
      return found;
    });
  }

  /** Fields that change the numbers and that the compiler knows in one setting only. */
  onlyKnown(settings: Readonly<Record<string, string | number | boolean | null>>): void {
    for (const [field, known] of Object.entries(settings)) {
      const value = this.get(field);
      if (value !== undefined && value !== known && !(known === null && value === false)) {
        throw this.unknown(field, [known]);
      }
    }
  }

  /** Fields that do not change the numbers. */
  ignore(...fields: readonly string[]): void {
    for (const field of fields) this.#read.add(field);
  }

  /** Call last: refuses what nobody read and is on. Names with a leading `_` are notes. */
  finish(): void {
    for (const [field, value] of Object.entries(this.#fields)) {
      const isOff = value === null || value === false;
      if (!this.#read.has(field) && !field.startsWith('_') && !isOff) {
        throw unsupportedModel(
          this.file,
          `the field "${field}" (${shown(value)}) is not known to this version of Easel.`,
        );
      }
    }
  }

  wrong(field: string, expected: string): Error {
    const problem = `the field "${field}" should be ${expected}, but is ${shown(this.#fields[field])}.`;
    return invalidModel(this.file, problem);
  }

  unknown(field: string, known: readonly (string | number | boolean | null)[]): Error {
    const list = known.map((value) => JSON.stringify(value)).join(', ');
    const value = shown(this.#fields[field]);
    const problem = `the field "${field}" is ${value}; this version of Easel knows ${list}.`;
    return unsupportedModel(this.file, problem);
  }
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 1_000_000;
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, 80);
}
