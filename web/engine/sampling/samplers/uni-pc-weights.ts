import { at } from '../indexing.ts';
import type { UniPcOptions } from './timestep-sampler.ts';

/** Weights of a UniPC step, each to be multiplied with alpha and a difference of estimates to the newest one. */
export interface UniPcWeights {
  /** exp(-h) - 1: the weight of the newest estimate itself. */
  readonly phi1: number;
  /** For the older estimates. */
  readonly predictor: number[];
  /** For the older estimates and, last, the one at the step's end. */
  readonly corrector: number[];
}

/**
 * Weights for older estimates at `ratios` (their distance in lambda, in units of the step `h`), from the systems of
 * arXiv:2302.04867, equation 5 (bh1, bh2) and appendix C (varying coefficients).
 */
export function uniPcWeights(
  variant: UniPcOptions['variant'],
  ratios: readonly number[],
  h: number,
): UniPcWeights {
  return variant === 'vary_coeff' ? varyingWeights(ratios, h) : fixedWeights(variant, ratios, h);
}

/** phi_1(-h) h, phi_2, … in the recursion phi_{k+1} = phi_k / (-h) - 1 / k!, as many as asked for. */
function phiSeries(h: number, count: number): number[] {
  const phis: number[] = [];
  let phi = Math.expm1(-h);
  let factorial = 1;
  for (let k = 1; k <= count; k++) {
    phis.push(phi);
    phi = phi / -h - 1 / factorial;
    factorial *= k + 1;
  }
  return phis;
}

function fixedWeights(variant: 'bh1' | 'bh2', ratios: readonly number[], h: number): UniPcWeights {
  const order = ratios.length + 1;
  const nodes = [...ratios, 1];
  const phis = phiSeries(h, order + 1);
  const scale = variant === 'bh1' ? -h : Math.expm1(-h);
  const matrix = nodes.map((_, power) => nodes.map((node) => node ** power));
  let factorial = 1;
  const right = nodes.map((_, i) => {
    factorial *= i + 1;
    return (at(phis, i + 1) * factorial) / scale;
  });
  // The paper fixes the weight to 1/2 where a single unknown is left.
  let older: number[] = [];
  if (order === 2) older = [0.5];
  else if (order > 2) {
    older = solve(
      matrix.slice(0, -1).map((row) => row.slice(0, -1)),
      right.slice(0, -1),
    );
  }
  const all = order === 1 ? [0.5] : solve(matrix, right);
  return {
    phi1: at(phis, 0),
    predictor: older.map((weight, i) => (scale * weight) / at(ratios, i)),
    corrector: all.map((weight, i) => (scale * weight) / at(nodes, i)),
  };
}

function varyingWeights(ratios: readonly number[], h: number): UniPcWeights {
  const nodes = [...ratios, 1];
  const order = nodes.length;
  const phis = phiSeries(h, order + 1);
  let column = nodes.map(() => 1);
  const columns: number[][] = [];
  for (let k = 1; k <= order; k++) {
    columns.push(column);
    column = column.map((value, i) => (value * at(nodes, i)) / (k + 1));
  }
  const matrix = nodes.map((_, row) => columns.map((values) => at(values, row)));
  const inner = invert(matrix.slice(0, -1).map((row) => row.slice(0, -1)));
  const full = invert(matrix);
  /** Sum over the orders of phi times the inverse's rows, for the older estimates. */
  const older = (inverse: readonly (readonly number[])[]) =>
    ratios.map((ratio, i) =>
      ratios.reduce((sum, _, k) => sum + (at(phis, k + 1) * at(at(inverse, k), i)) / ratio, 0),
    );
  // As in the authors' code the newest estimate enters with the row before the last (the last where it is alone).
  const lastRow = at(full, Math.max(ratios.length - 1, 0));
  return {
    phi1: at(phis, 0),
    predictor: older(inner),
    corrector: [...older(full), at(phis, order) * at(lastRow, order - 1)],
  };
}

/** Solves a small linear system by Gaussian elimination with partial pivoting. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const size = right.length;
  const rows = matrix.map((row, i) => [...row, at(right, i)]);
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let row = column + 1; row < size; row++) {
      if (Math.abs(at(at(rows, row), column)) > Math.abs(at(at(rows, pivot), column))) pivot = row;
    }
    const pivotRow = at(rows, pivot);
    rows[pivot] = at(rows, column);
    rows[column] = pivotRow;
    for (const [index, row] of rows.entries()) {
      if (index === column) continue;
      const factor = at(row, column) / at(pivotRow, column);
      for (let k = column; k <= size; k++) row[k] = at(row, k) - factor * at(pivotRow, k);
    }
  }
  return rows.map((row, i) => at(row, size) / at(row, i));
}

function invert(matrix: readonly (readonly number[])[]): number[][] {
  const columns = matrix.map((_, i) =>
    solve(
      matrix,
      matrix.map((_row, j) => (i === j ? 1 : 0)),
    ),
  );
  return matrix.map((_, row) => columns.map((column) => at(column, row)));
}
