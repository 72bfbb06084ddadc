import type { GridPlan } from '../../../protocol/scripts/grid-plan.ts';
import type { AxisContext, Changes, GenerationRequest, Route } from './axes.ts';

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
