import { cpus, freemem, totalmem } from 'node:os';
import { Hono } from 'hono';
import type { ModelListing } from '../../protocol/catalog.ts';
import { EASEL_VERSION } from '../../protocol/version.ts';
import type { BridgeServices } from '../services.ts';
import { listCheckpoints } from './checkpoints.ts';
import { OPTIONS } from './option-table.ts';
import type { A1111Settings } from './settings.ts';

/** Names of A1111's pages of extra networks, and the lists that they show. */
const KINDS: ReadonlyMap<string, ModelListing['kind']> = new Map([
  ['lora', 'lora'],
  ['checkpoints', 'checkpoint'],
  ['textual inversion', 'embedding'],
  ['textual_inversion', 'embedding'],
]);

/** What A1111 tells of its machine, without anything that names a person or a secret. */
function systemInfo(flags: Readonly<Record<string, unknown>>) {
  const [cpu] = cpus();
  const total = totalmem();
  const free = freemem();
  return {
    Platform: `${process.platform} ${process.arch}`,
    Node: process.version,
    Version: `Easel ${EASEL_VERSION}`,
    Commandline: { ...flags },
    CPU: { model: cpu?.model ?? 'unknown', 'count logical': cpus().length },
    RAM: { total, used: total - free, free },
    Extensions: [],
    'Inactive extensions': [],
  };
}

/** Routes that serve A1111's own page rather than its API, as far as other programs read them. */
export function pageRoutes({ models }: BridgeServices, { flags = {} }: A1111Settings): Hono {
  const app = new Hono();
  for (const [path, disposition] of [
    ['/internal/sysinfo', 'inline'],
    ['/internal/sysinfo-download', 'attachment'],
  ] as const) {
    app.get(path, (c) => {
      c.header('Content-Disposition', `${disposition}; filename="sysinfo.json"`);
      return c.json(systemInfo(flags));
    });
  }
  app.get('/internal/quicksettings-hint', (c) =>
    c.json(OPTIONS.map(({ key }) => ({ name: key, label: key }))),
  );
  app.get('/internal/profile-startup', (c) => c.json({ total: 0, records: {} }));
  app.get('/sd_extra_networks/metadata', async (c) => {
    const kind = KINDS.get((c.req.query('page') ?? '').toLowerCase());
    const name = c.req.query('item') ?? '';
    if (!kind) return c.json({});
    const listing = await findListing(kind, name);
    const summary = listing && (await models.summary?.(listing));
    if (!summary || Object.keys(summary.metadata).length === 0) return c.json({});
    return c.json({ metadata: JSON.stringify(summary.metadata, null, 4) });
  });

  async function findListing(kind: ModelListing['kind'], name: string) {
    const listings = await models.list(kind);
    const found = listings.find((listing) => listing.name === name);
    if (found || kind !== 'checkpoint') return found;
    // A checkpoint's card is called by its title too.
    const entries = await listCheckpoints(models);
    const entry = entries.find((each) => each.title === name || each.model_name === name);
    return listings.find((listing) => listing.name === entry?.name);
  }

  return app;
}
