import type { BridgeServices } from '../../services.ts';

/** A ControlNet by the catalogue's name, and as clients see it: with its short hash where that is known. */
export interface ControlnetName {
  readonly name: string;
  readonly label: string;
}

/** Every ControlNet, in the order of the list. */
export async function listControlnets(
  models: Pick<BridgeServices['models'], 'list' | 'legacyHash'>,
): Promise<ControlnetName[]> {
  const listings = await models.list('controlnet');
  return Promise.all(
    listings.map(async (listing) => {
      const hash = (await models.legacyHash?.(listing)) ?? null;
      const { name } = listing;
      return { name, label: hash === null ? name : `${name} [${hash}]` };
    }),
  );
}

/**
 * The ControlNet that a client means, as sd-webui-controlnet finds it: by its name with or without the hash, in any
 * case, else the shortest name that holds what was asked for.
 */
export function findControlnet(
  asked: string,
  known: readonly ControlnetName[],
): ControlnetName | null {
  const wanted = asked.trim();
  const lower = wanted.toLowerCase();
  const stem = lower.replace(/\.safetensors$/, '').replace(/\s*\[[0-9a-f]*\]$/, '');
  const exact =
    known.find(({ label, name }) => label === wanted || name === wanted) ??
    known.find(({ name }) => name.toLowerCase() === stem);
  if (exact || stem === '') return exact ?? null;
  return known
    .filter(({ name }) => name.toLowerCase().includes(stem))
    .reduce<ControlnetName | null>(
      (best, each) => (best && best.name.length <= each.name.length ? best : each),
      null,
    );
}
