import type { ModelSources } from '../../web/engine/models/sources.ts';

/** A browser without a single model. */
export const NO_SOURCES: ModelSources = {
  listings: [],
  refresh: async () => [],
  find: () => null,
  open: () => {
    throw new Error('there is none');
  },
};
