/** One measured figure beside what was promised. */
export interface BenchRow {
  readonly group: string;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The promise as text, e.g. `≤ 1.10`; null where there is none. */
  readonly promise: string | null;
  readonly kept: boolean | null;
  /** How it was measured, in one sentence. */
  readonly note: string;
}

/** A row with an upper limit. */
export function atMost(
  group: string,
  name: string,
  value: number,
  unit: string,
  limit: number,
  note: string,
): BenchRow {
  return { group, name, value, unit, promise: `≤ ${limit}`, kept: value <= limit, note };
}

/** A row with a lower limit. */
export function atLeast(
  group: string,
  name: string,
  value: number,
  unit: string,
  limit: number,
  note: string,
): BenchRow {
  return { group, name, value, unit, promise: `≥ ${limit}`, kept: value >= limit, note };
}

/** A row without a promise. */
export function figure(
  group: string,
  name: string,
  value: number,
  unit: string,
  note: string,
): BenchRow {
  return { group, name, value, unit, promise: null, kept: null, note };
}

function round(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

/** The rows as a Markdown table. */
export function formatTable(rows: readonly BenchRow[]): string {
  const lines = rows.map((row) => {
    const verdict = row.kept === null ? '' : row.kept ? 'kept' : '**missed**';
    const measured = `${round(row.value)}${row.unit ? ` ${row.unit}` : ''}`;
    return `| ${row.group} | ${row.name} | ${measured} | ${row.promise ?? ''} | ${verdict} | ${row.note} |`;
  });
  return [
    '| Group | What | Measured | Promised | | How |',
    '|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

/** The value below which a share `q` of the samples lies. */
export function percentile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}
