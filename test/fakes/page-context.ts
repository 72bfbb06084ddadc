import type { ActionContext } from '../../web/page/actions.ts';
import { followEngine } from '../../web/page/actions.ts';
import { createGalleryStore } from '../../web/page/gallery-store.ts';
import { createAppState } from '../../web/page/state.ts';
import { FakeEngine } from './fake-engine.ts';
import { mapShelves } from './map-shelves.ts';

/** A page that has just been opened, with an engine whose jobs the test ends by hand. */
export function openPage() {
  const engine = new FakeEngine();
  const state = createAppState();
  const context: ActionContext = {
    state,
    engine,
    galleryStore: createGalleryStore(mapShelves()),
    makeThumb: async () => null,
    now: () => new Date(2026, 10, 24, 9, 5, 7),
    drawSeed: () => 41,
  };
  followEngine(state, engine);
  return { engine, state, context };
}
