import { z } from 'zod';
import { RELAY_PATH, TOKEN_PATH } from '../../../protocol/relay.ts';
import { connectRelay } from '../../../web/engine/relay-client.ts';
import { createStubLocalEngine, type StubDenoiser } from '../../fakes/stub-local-engine.ts';

/** What the page of the test tells its worker. */
type Start = Omit<StubDenoiser, 'picture'> & { readonly picture: readonly number[] };

z.config({ jitless: true });

addEventListener('message', ({ data }: MessageEvent<Start>) => {
  const relay = { url: location.origin + RELAY_PATH, tokenUrl: location.origin + TOKEN_PATH };
  const picture = Uint8Array.from(data.picture);
  const engine = createStubLocalEngine({ ...data, picture: () => picture });
  connectRelay({ engine, relay, appVersion: '0.1.0' });
});
