import type { GridLabel } from '../../../protocol/generation.ts';
import type { AxisContext, Changes, GenerationRequest, Route } from './axes.ts';

/** Pairs that go into a grid's infotext. */
export type InfotextPairs = readonly (readonly [label: string, value: string])[];

/** A picture of pictures that were made. */
export interface GridPlan {
  readonly columns: number;
  readonly rows: number;
  /** Row by row, places in `ScriptPlan.cells`, or in `ScriptPlan.grids` where `joins` says so. */
  readonly cells: readonly number[];
  readonly joins: 'cells' | 'grids';
  readonly columnLabels: readonly (readonly GridLabel[])[];
  readonly rowLabels: readonly (readonly GridLabel[])[];
  readonly margin: number;
  readonly pairs: InfotextPairs;
}

/** What a script makes of one request: pictures in a row, and grids of them. */
export interface ScriptPlan {
  /** A1111's name, for what is told and saved. */
  readonly title: string;
  /** What each picture changes in the request. */
  readonly cells: readonly Changes[];
  /** The order in which they are made: what is costly to change comes to change least often. */
  readonly order: readonly number[];
  /** Grids that join others come behind those. */
  readonly grids: readonly GridPlan[];
  /** What the reply shows, in order, as places in `grids` and `cells`. */
  readonly shown: readonly { readonly from: 'grids' | 'cells'; readonly index: number }[];
  readonly notes: readonly string[];
}

/** What a script reads its arguments against. */
export interface ScriptContext extends AxisContext {
  readonly route: Route;
  readonly request: GenerationRequest;
  readonly drawSeed: () => number;
}
